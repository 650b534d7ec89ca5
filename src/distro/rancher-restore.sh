# Puts back what rancher-save.sh saved. From a snapshot of etcd the server makes a cluster of its own, which others join anew.
# Its arguments are those of rancher-save.sh.
set -eu
program=$1 saved=$2 server=$3 unit=$4
systemctl stop "$unit"
if [ -e "$saved/db" ]; then
    for part in db token cred tls; do
        if [ -e "$saved/$part" ]; then
            rm -rf "${server:?}/$part"
            cp -a "$saved/$part" "$server/$part"
        fi
    done
    sync
    exit 0
fi
snapshot=
for snapshot in "$saved"/carrack-*; do :; done
[ -f "$snapshot" ] || { echo "there is no snapshot in $saved" >&2; exit 1; }
mkdir -p "$server"
cp -p "$saved/token" "$server/token"
# Left by a restore that was cut off; the program does not do another one while it is there.
rm -f "$server/db/reset-flag"
"$program" server --cluster-reset --cluster-reset-restore-path="$snapshot"

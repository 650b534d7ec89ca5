# Restores a snapshot of etcd, from which the server makes a cluster of its own that others join anew. Where the state was not in
# etcd, the installer itself has copied it by now. The server does not run.
# Its arguments are those of rancher-save.sh.
set -eu
program=$1 saved=$2 server=$3
[ ! -e "$saved/db" ] || exit 0
snapshot=
for snapshot in "$saved"/carrack-*; do :; done
[ -f "$snapshot" ] || { echo "there is no snapshot in $saved" >&2; exit 1; }
# Left by a restore that was cut off; the program does not do another one while it is there.
rm -f "$server/db/reset-flag"
"$program" server --cluster-reset --cluster-reset-restore-path="$snapshot"

# Saves the state of a server whose data is in etcd: a snapshot, while it goes on. Where it is not, the server is stopped, and the
# installer itself copies what there is.
# $1: the program, k3s or rke2
# $2: the folder of the copy
# $3: the server's folder
# $4: its unit
set -eu
program=$1 saved=$2 server=$3 unit=$4
if [ -d "$server/db/etcd" ]; then
    "$program" etcd-snapshot save --name carrack --etcd-snapshot-dir "$saved"
    cp -p "$server/token" "$saved/token"
    sync
else
    systemctl stop "$unit"
fi

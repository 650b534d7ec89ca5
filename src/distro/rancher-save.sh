# Saves the state of a server: a snapshot of etcd, which may have members on other machines and goes on; everything else is
# copied while the server stands still. Which of the two it is, its folder says.
# $1: the program, k3s or rke2
# $2: the folder of the copy
# $3: the server's folder
# $4: its unit
set -eu
program=$1 saved=$2 server=$3 unit=$4
rm -rf "${saved:?}"/*
if [ -d "$server/db/etcd" ]; then
    "$program" etcd-snapshot save --name carrack --etcd-snapshot-dir "$saved"
    cp -p "$server/token" "$saved/token"
else
    systemctl stop "$unit"
    for part in db token cred tls; do
        if [ -e "$server/$part" ]; then cp -a "$server/$part" "$saved/$part"; fi
    done
fi
sync

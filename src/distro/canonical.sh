# Installs the snap of Canonical Kubernetes and makes this machine a node, or goes on where that was cut off: then what
# there is of it is taken away first. A snap that was there before Carrack stays as it is.
# $1: bootstrap or join
# $2: its configuration
# $3: the folder where it is remembered how far this went
# $4: the node's name
# $5: its address, or nothing where the snap is to find one
# $6: something where data of others was there before: then snapd keeps a snapshot of what goes
# $7: the snap; its assertion is beside it
# all others: the snaps that it needs
# To join, `k8s join-cluster` takes the token as an argument only, which the list of processes shows to every user. So that is not
# done here: the next step sends it to the socket of k8sd.
set -eu
verb=$1 config=$2 state=$3 name=$4 address=$5 foreign=$6 snap=$7
shift 7

if [ -e "$state/begun" ]; then
    if [ -n "$foreign" ]; then snap remove k8s || true; else snap remove k8s --purge || true; fi
elif [ -e /snap/k8s/current ]; then
    echo 'this machine has the snap already'
    exit 0
fi
mkdir -p "$state"
: >"$state/begun"
sync
for base in "$@"; do
    snap ack "${base%.snap}.assert"
    snap install "$base"
done
snap ack "${snap%.snap}.assert"
snap install "$snap" --classic
snap refresh k8s --hold
# Its containerd imports these when it starts, and gives the links another name then.
mkdir -p /var/snap/k8s/common/images
for archive in "$state"/images/*.tar; do
    [ ! -e "$archive" ] || ln -sf "$archive" /var/snap/k8s/common/images/
done
[ "$verb" = bootstrap ] || exit 0
if [ -n "$address" ]; then
    /snap/bin/k8s bootstrap --file "$config" --name "$name" --timeout 15m --address "$address"
else
    /snap/bin/k8s bootstrap --file "$config" --name "$name" --timeout 15m
fi
: >"$state/made"
sync
rm "$state/begun"

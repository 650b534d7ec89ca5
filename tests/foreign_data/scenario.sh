# What becomes of data that is somebody else's, in every folder that a distribution fills. Runs as root in a file system of its own;
# see main.rs. Prints a line for each thing that is wrong, and nothing else counts.
# $1: the distribution; $2: how the folders are there: folder, link or mount; all others: the folders
set -u
distribution=$1 layout=$2
shift 2
skip="--skip processors --skip memory --skip disk --skip ssd --skip kernel --skip cgroups --skip swap --skip clock --skip overlay
    --skip conflicts --skip selinux --skip apparmor --skip space --skip module-overlay --skip module-br_netfilter
    --skip module-nf_conntrack --skip default-route"
case $distribution in
k3s | rke2) skip="$skip --skip module-vxlan --skip port-8472-udp" runtime= ;;
kubeadm) skip="$skip --skip command-conntrack --skip command-iptables --skip command-ip --skip command-mount" runtime='--runtime none' ;;
canonical) skip="$skip --skip command-snap" runtime= ;;
esac
folders=$*
export folders

wrong() { printf 'WRONG %s %s: %s\n' "$distribution" "$layout" "$*"; }

# Everything in the places that count, with kind, mode, owner, and content. The machine's own services and tools write below
# some folders meanwhile.
others='( -path /var/lib/carrack -o -path /var/lib/snapd -o -path /var/lib/apt -o -path /var/lib/dpkg -o -path /var/lib/systemd -o
    -path /var/lib/containers -o -path /var/lib/docker -o -path /var/lib/docker-registry )'
places='/etc/kubernetes /etc/rancher /var/lib /var/log/pods /var/log/containers /var/snap /data /run/k3s /run/flannel'
list() {
    # shellcheck disable=SC2086 # words
    find $places /etc/cni /etc/systemd /etc/containerd /opt $others -prune -o -printf '%y %m %U:%G %l %p\n' 2>/dev/null | sort
    # shellcheck disable=SC2086 # words
    find $places /opt/edge $others -prune -o -type f -print 2>/dev/null | sort | xargs -r -d '\n' sha256sum
}
# $1: what was done; the lists are /before and what is there now
unchanged() {
    list >/now
    if ! cmp -s /before /now; then
        wrong "$1 has changed what is not its own:"
        diff /before /now | head -20
    fi
}
# $1: the exit code; all others: the command
expect() {
    code=$1
    shift
    "$@" >/said 2>&1
    found=$?
    if [ "$found" -ne "$code" ]; then
        wrong "exit $found instead of $code: $*"
        tail -5 /said
    fi
}
apply() { expect "$1" carrack-install apply "/in/$2" --yes -q $runtime $skip $3; }

lay() {
    for folder; do
        case $layout in
        folder) mkdir -p "$folder" ;;
        link) mkdir -p "/data$folder" "${folder%/*}" && ln -s "/data$folder" "$folder" ;;
        mount) mkdir -p "$folder" && mount -t tmpfs disk "$folder" ;;
        esac
    done
}

# 1. Data of others is in every folder.
lay "$@"
for folder; do
    mkdir -p "$folder/inner/empty"
    echo 'ten years' >"$folder/inner/precious"
    chmod 640 "$folder/inner/precious"
done
list >/before
apply 40 1.0.0 ''
for folder; do grep -q "$folder" /said || wrong "preflight does not name $folder"; done
unchanged 'a refused installation'
touch /run/fails
apply 50 1.0.0 '--skip foreign-data'
for folder; do grep -q "$folder: it was there" /said || wrong "a failure does not name $folder"; done
rm /run/fails
for folder; do rm -f "$folder/made-by-the-distribution"; done
unchanged 'a failed installation'
apply 0 1.0.0 '--skip foreign-data'
apply 0 1.1.0 '--skip foreign-data'
expect 0 carrack-install rollback --yes
expect 0 carrack-install uninstall --yes
for folder; do
    grep -q "$folder stays: it was there" /said || wrong "uninstall does not name $folder"
    rm -f "$folder/made-by-the-distribution"
done
unchanged 'an uninstallation'

# 2. The folders are the distribution's own: absent, or for links and mounts empty.
for folder; do
    rm -rf "$folder/inner"
    if [ "$layout" = folder ]; then rm -r "$folder"; fi
done
list >/before
touch /run/fails
apply 50 1.0.0 ''
grep -q 'it failed and was undone' /said || wrong "not all is back: $(tail -3 /said)"
unchanged 'a failed installation of its own'
rm /run/fails
apply 0 1.0.0 ''
for folder; do [ -e "$folder/made-by-the-distribution" ] || wrong "the stand-in has not filled $folder"; done
# An upgrade by kubeadm is tried three times. What takes it back works.
if [ "$distribution" = kubeadm ]; then echo 3; else echo 1; fi >/run/fails
# One version of Canonical Kubernetes follows the other without a copy of the state.
if [ "$distribution" != canonical ]; then apply 50 1.1.0 ''; fi
rm -f /run/fails
apply 0 1.1.0 ''
expect 0 carrack-install rollback --yes
# Somebody mounts a disk in the middle of it.
middle=
for folder; do middle=${middle:-$folder}; done
if [ "$layout" = folder ] && [ "$distribution" != canonical ]; then
    mkdir "$middle/disk" && mount -t tmpfs disk "$middle/disk" && echo 'ten years' >"$middle/disk/precious"
    expect 0 carrack-install uninstall --yes
    grep -q "$middle/disk: a file system is mounted there" /said || wrong "a mount is not named: $(cat /said)"
    [ "$(cat "$middle/disk/precious")" = 'ten years' ] || wrong 'a mount was entered'
    [ ! -e "$middle/made-by-the-distribution" ] || wrong 'what is beside a mount stays'
    umount "$middle/disk" && rm -r "$middle"
else
    expect 0 carrack-install uninstall --yes
fi
unchanged 'the life of an installation'
if [ "$layout" = mount ]; then
    for folder; do mountpoint -q "$folder" || wrong "$folder is not mounted any more"; done
fi
echo DONE

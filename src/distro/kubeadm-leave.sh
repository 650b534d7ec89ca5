# Takes away what kubeadm.sh made, and nothing where it made nothing.
# $1: kubeadm
# $2: the folder where it is remembered how far that went
# all others: folders of the node, which go with it
set -eu
kubeadm=$1 state=$2
shift 2
[ -e "$state/begun" ] || [ -e "$state/made" ] || exit 0
: >"$state/begun"
"$kubeadm" reset --force
systemctl disable --now kubelet.service || true
for folder in "$@"; do
    # Volumes have data of others, which stays where it is once they are no longer mounted.
    while read -r _ path _; do
        path=$(printf '%b' "$path")
        case $path in "$folder"/*) printf '%s\n' "$path" ;; esac
    done </proc/self/mounts | sort -r | while IFS= read -r path; do
        umount "$path"
    done
    rm -rf --one-file-system "$folder"
done
rm -f "$state/made" "$state/begun"

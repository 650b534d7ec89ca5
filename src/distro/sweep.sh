# What containers leave behind once the unit that started them is stopped: processes and mounts. Nothing is removed
# here, and nothing is removed after it where something is still mounted, so that no data of volumes goes with it.
# $1: the folder of the distribution's data
# $2: its folder of the runtime's state
# $3: the kubelet's folder
# all others: network interfaces that the distribution itself makes
data=$1 state=$2 kubelet=$3
shift 3

# The processes of pods are in control groups of the kubelet.
find /sys/fs/cgroup -path '*kubepods*' -name cgroup.procs 2>/dev/null | while IFS= read -r group; do
    for process in $(cat "$group" 2>/dev/null); do kill -9 "$process" 2>/dev/null; done
done
# Those that look after them are programs that the distribution unpacked below its folder.
for process in /proc/[0-9]*; do
    case $(readlink "$process/exe" 2>/dev/null) in
    "$data"/*) kill -9 "${process#/proc/}" 2>/dev/null ;;
    esac
done

mounted() {
    while read -r _ path _; do
        # Blanks are octal there.
        path=$(printf '%b' "$path")
        case $path in
        "$data"/* | "$state"/* | "$kubelet"/* | /run/netns/cni-*) printf '%s\n' "$path" ;;
        esac
    done </proc/self/mounts | sort -r
}
mounted | while IFS= read -r path; do
    umount "$path" 2>/dev/null || umount -l "$path"
done
left=$(mounted)
if [ -n "$left" ]; then
    printf 'still mounted:\n%s\n' "$left" >&2
    exit 1
fi
rm -f /run/netns/cni-*

if command -v ip >/dev/null; then
    for interface in "$@"; do
        if [ -e "/sys/class/net/$interface" ]; then ip link delete "$interface"; fi
    done
fi
exit 0

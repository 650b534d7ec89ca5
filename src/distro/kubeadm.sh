# Makes this machine a node with kubeadm, or goes on where that was cut off: then what there is of a node is taken away
# first. A node that was there before Carrack is left as it is.
# $1: kubeadm
# $2: init or join
# $3: its configuration
# $4: the folder where it is remembered how far this went
# $5: a static pod that has to be there first, or nothing
# $6: something where a folder of the node has data of others: then kubeadm, which empties them, does not
set -eu
kubeadm=$1 verb=$2 config=$3 state=$4 pod=$5 foreign=$6

if [ -e "$state/begun" ]; then
    out "$kubeadm" "$foreign"
elif [ -e /etc/kubernetes/kubelet.conf ]; then
    echo 'this machine is a node already'
    exit 0
fi
mkdir -p "$state"
# Named without a slash at the end, as kubeadm-leave.sh looks for it; also where it is a link, its parts are found.
[ -e "$state/begun" ] || find -H /etc/kubernetes >"$state/before" 2>/dev/null || true
# By these, kubeadm-leave.sh knows which interfaces and rules were there before.
[ -e "$state/begun" ] || {
    ls /sys/class/net 2>/dev/null || true
    for tables in iptables ip6tables; do "$tables-save" 2>/dev/null || true; done
} >"$state/network"
mkdir -p /etc/kubernetes/manifests
# What a node of before had.
rm -f "$state/applied.yaml" "$state/applying.yaml"
: >"$state/begun"
sync
if [ -n "$pod" ]; then cp "$pod" /etc/kubernetes/manifests/kube-vip.yaml; fi
attempt() {
    case $verb in
    init) "$kubeadm" init --config "$config" ;;
    join) "$kubeadm" join --config "$config" ;;
    esac
}
# containerd tells systemd that it runs before it answers for CRI, and kubeadm asks it once: in its preflight, before it
# changes anything. It is asked again for a minute.
tries=0 failed=0
attempt 2>"$state/said" || failed=$?
while [ "$failed" != 0 ] && [ "$tries" -lt 60 ] && grep -q 'execution phase preflight' "$state/said" &&
    grep -q 'server is not initialized yet' "$state/said"; do
    sleep 1
    tries=$((tries + 1)) failed=0
    attempt 2>"$state/said" || failed=$?
done
cat "$state/said" >&2
rm "$state/said"
[ "$failed" = 0 ] || exit "$failed"
: >"$state/made"
sync
rm "$state/begun"

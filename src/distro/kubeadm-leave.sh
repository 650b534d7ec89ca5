# Takes the node away that kubeadm.sh made, and nothing where it made nothing. The folders of the node are removed afterwards,
# by the installer itself, which knows whose they are.
# $1: kubeadm
# $2: the folder where it is remembered how far that went
# $3: something where a folder of the node has data of others: then kubeadm, which empties them, does not
set -eu
kubeadm=$1 state=$2 foreign=$3
[ -e "$state/begun" ] || [ -e "$state/made" ] || exit 0
: >"$state/begun"
out "$kubeadm" "$foreign"
if [ -n "$foreign" ]; then
    # What kubeadm writes, one by one, and only where it was not there before.
    for file in admin super-admin kubelet bootstrap-kubelet controller-manager scheduler; do
        file=/etc/kubernetes/$file.conf
        grep -qxF "$file" "$state/before" 2>/dev/null || rm -f "$file"
    done
    for file in kube-apiserver kube-controller-manager kube-scheduler etcd kube-vip; do
        file=/etc/kubernetes/manifests/$file.yaml
        grep -qxF "$file" "$state/before" 2>/dev/null || rm -f "$file"
    done
    for folder in /etc/kubernetes/manifests /etc/kubernetes; do
        grep -qxF "$folder" "$state/before" 2>/dev/null || rmdir "$folder" 2>/dev/null || true
    done
fi
systemctl disable --now kubelet.service || true
# What kubeadm leaves of the network: rules of kube-proxy and of CNI plugins, and their bridge; only where there was none before.
if [ -e "$state/network" ]; then
    grep -qx cni0 "$state/network" || ip link delete cni0 2>/dev/null || true
    for mark in KUBE- CNI-; do
        if grep -q -- "$mark" "$state/network"; then continue; fi
        for tables in iptables ip6tables; do
            rules=$("$tables-save" 2>/dev/null) || continue
            case $rules in
            *"$mark"*) printf '%s\n' "$rules" | grep -v -- "$mark" | "$tables-restore" || true ;;
            esac
        done
    done
fi
for name in made begun before network applied.yaml applying.yaml phases.yaml; do rm -f "$state/$name"; done

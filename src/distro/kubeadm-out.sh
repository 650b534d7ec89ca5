# Has this machine leave the cluster that it was made a node of, as far as it got. For kubeadm-leave.sh and kubeadm.sh, which
# goes before both.

admin() { "$kubectl" --kubeconfig /etc/kubernetes/admin.conf --request-timeout=10s "$@"; }

# The pods of other servers' etcd, each with the address of its server. $1: this server's address
others() {
    admin get pods --namespace=kube-system --selector=component=etcd --field-selector=status.phase=Running \
        --output='jsonpath={range .items[*]}{.metadata.name} {.status.hostIP}{"\n"}{end}' >"$state/others" || return 1
    grep -v " $1\$" "$state/others" || true
}

# etcdctl in the pod of another server. The API is asked of that server too: at the cluster's address it may be this one's,
# which is about to go. $1: the pod, $2: the server's address
elsewhere() {
    pod=$1 server=$2
    shift 2
    case $server in *:*) server="[$server]" ;; esac
    admin --server="https://$server:6443" exec --namespace=kube-system "$pod" -- etcdctl --endpoints=https://127.0.0.1:2379 \
        --cacert="$pki/ca.crt" --cert="$pki/server.crt" --key="$pki/server.key" "$@"
}

# Takes the member of this server out of the etcd of the others. kubeadm does so only where the API has the pod of this server,
# and otherwise goes on with a warning: then the cluster counts a member that is gone, and of two servers the other one never
# works again.
# $1: this server's address
forget() {
    address=$1
    case $address in *:*) peer="https://[$address]:2380" ;; *) peer="https://$address:2380" ;; esac
    others "$address" >"$state/pods" || return 1
    [ -s "$state/pods" ] || return 0
    while read -r pod server; do
        elsewhere "$pod" "$server" member list </dev/null >"$state/members" || continue
        id=$(grep -F ", $peer," "$state/members" | cut -d , -f 1)
        [ -n "$id" ] || return 0
        if elsewhere "$pod" "$server" member remove "$id" </dev/null; then
            # Where this server had the cluster's address, another one takes it over.
            tries=0
            until admin get --raw=/readyz >/dev/null 2>&1 || [ "$tries" -ge 60 ]; do
                sleep 1
                tries=$((tries + 1))
            done
            return 0
        fi
    done <"$state/pods"
    return 1
}

# The same for as long as the others may take to come back, since all may have lost their power at once. A member that had become
# one of two has to run, or nobody can take it out.
forgotten() {
    api=/etc/kubernetes/manifests/kube-apiserver.yaml etcd=/etc/kubernetes/manifests/etcd.yaml
    [ -e "$api" ] && [ -e /etc/kubernetes/admin.conf ] || return 0
    grep -q -- '--etcd-servers=https://127.0.0.1:' "$api" || grep -q -- '--etcd-servers=https://\[::1\]:' "$api" || return 0
    address=$(sed -n 's/.*--advertise-address=//p' "$api")
    pki=$(sed -n 's/.*--etcd-cafile=\(.*\)\/ca.crt$/\1/p' "$api")
    if forget "$address"; then return 0; fi
    # The first server of a cluster that never came up, or that is broken, has nobody to ask.
    if [ -e "$etcd" ] && ! grep -q -- '--initial-cluster=.*,' "$etcd"; then return 0; fi
    if [ -e "$etcd" ]; then systemctl start kubelet.service || true; fi
    tries=0
    until forget "$address"; do
        tries=$((tries + 1))
        if [ "$tries" -ge 60 ]; then
            echo "the member of this server, https://$address:2380, cannot be taken out of the cluster's etcd, since no other server answers:" \
                'start the other servers; or, where there is none any more, run kubeadm reset --force; and then the same again' >&2
            return 1
        fi
        sleep 5
    done
}

# $1: kubeadm, $2: something where kubeadm must not empty folders
out() {
    kubectl=${1%/*}/kubectl
    [ -x "$kubectl" ] || kubectl=kubectl
    ended=0
    forgotten || ended=1
    rm -f "$state/others" "$state/pods" "$state/members"
    [ "$ended" = 0 ] || return 1
    if [ -n "$2" ]; then
        "$1" reset --force --skip-phases=cleanup-node
    else
        "$1" reset --force
    fi
}

# Takes the cluster to a version. kubeadm first has a job run, for which it waits 15 seconds; so the node has to be ready, and
# controller manager and scheduler have to lead again, since all of them were without the API while etcd was copied.
# $1: kubeadm
# $2: the version
# $3: the node
# $4: kubectl
set -eu
kubeadm=$1 version=$2 node=$3 kubectl=$4

ask() { "$kubectl" --kubeconfig /etc/kubernetes/admin.conf "$@"; }

# When the leader last renewed its lease. $1: the name of the lease
renewed() {
    ask get --raw "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/$1" | grep -o '"renewTime":"[^"]*"'
}

# Waits until the lease is renewed once more, for two minutes: one that nobody holds any longer is still there. An API that has
# shown none in three askings, although it answers, is not waited for: kubeadm itself says what it lacks. $1: the name of the lease
leads() {
    before= tries=0
    while [ "$tries" -lt 120 ]; do
        now=$(renewed "$1") || now=
        if [ -n "$before" ] && [ -n "$now" ] && [ "$now" != "$before" ]; then return 0; fi
        before=${before:-$now} tries=$((tries + 1))
        if [ -z "$before" ] && [ "$tries" -ge 3 ]; then return 0; fi
        sleep 1
    done
    echo "$1 does not lead: its lease is not renewed" >&2
    return 1
}

# After an attempt that failed kubeadm puts back what was there, and the API takes a while to answer again: two minutes.
comes_back() {
    tries=0
    until ask get --raw /readyz >/dev/null 2>&1 || [ "$tries" -ge 60 ]; do
        sleep 2
        tries=$((tries + 1))
    done
}

for attempt in 1 2 3; do
    took=0
    comes_back
    if ask wait --for=condition=Ready --timeout=120s "node/$node" && leads kube-controller-manager && leads kube-scheduler; then
        begun=$(date +%s)
        if "$kubeadm" upgrade apply "$version" --yes; then exit 0; fi
        took=$(($(date +%s) - begun))
    fi
    echo "attempt $attempt of 3 to upgrade failed" >&2
    # A job that did not run in time fails within seconds. For a part of the control plane that does not come up kubeadm waits
    # five minutes, without an API, and it would not come up in another five.
    if [ "$took" -ge 120 ]; then exit 1; fi
done
exit 1

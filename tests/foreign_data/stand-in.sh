#!/bin/sh
# Stands in for systemctl, and for the programs of all distributions: they fill the folders, and fail where /run/fails
# is, so many times as it says, or always.
name=${0##*/}
fill() {
    for folder in $(cat /in/folders); do
        mkdir -p "$folder" && echo ours >"$folder/made-by-the-distribution"
    done
}
fails() {
    if [ -e /run/fails ]; then
        fill
        if [ -s /run/fails ]; then
            left=$(($(cat /run/fails) - 1))
            if [ "$left" -gt 0 ]; then echo "$left" >/run/fails; else rm /run/fails; fi
        fi
        echo "$name fails, as it is told to" >&2
        exit 1
    fi
}
empty() { find "$1/" -mindepth 1 -delete 2>/dev/null; }
case $name in
systemctl)
    verb= unit=
    for word; do
        case $word in
        --*) ;;
        *) if [ -z "$verb" ]; then verb=$word; else unit=$word; fi ;;
        esac
    done
    units=/run/units
    mkdir -p $units
    case $verb in
    show)
        if [ -e "$units/$unit.active" ]; then state=active; else state=inactive; fi
        printf 'LoadState=loaded\nActiveState=%s\nSubState=x\nResult=success\nType=notify\nNRestarts=0\n' $state
        printf 'ExecMainStartTimestampMonotonic=0\nJob=0\n'
        ;;
    start | restart)
        case $unit in k3s.service | rke2-server.service) fails && fill ;; esac
        touch "$units/$unit.active"
        ;;
    stop) rm -f "$units/$unit.active" ;;
    enable) touch "$units/$unit.enabled" ;;
    disable) rm -f "$units/$unit.enabled" ;;
    is-enabled) [ -e "$units/$unit.enabled" ] ;;
    esac
    ;;
kubeadm)
    case $1 in
    init)
        fails
        mkdir -p /etc/kubernetes/manifests && touch /etc/kubernetes/kubelet.conf /etc/kubernetes/manifests/etcd.yaml
        fill
        ;;
    upgrade) fails && fill ;;
    reset)
        # cmd/kubeadm/app/cmd/phases/reset/cleanupnode.go
        case "$*" in
        *--skip-phases=cleanup-node*) ;;
        *)
            if [ -e /etc/kubernetes/manifests/etcd.yaml ]; then empty /var/lib/etcd; fi
            empty /var/lib/kubelet
            empty /etc/kubernetes/manifests
            rm -f /etc/kubernetes/kubelet.conf
            ;;
        esac
        ;;
    esac
    ;;
snap)
    case "$*" in
    *install*k8s.snap*)
        fails
        mkdir -p /snap/k8s/1 /var/lib/snapd/snaps && ln -sfn 1 /snap/k8s/current
        fill
        ;;
    'remove k8s'*)
        rm -rf /snap/k8s /var/snap/k8s/common
        for folder in $(cat /in/folders); do rm -f "$folder/made-by-the-distribution" && rmdir "$folder" 2>/dev/null; done
        ;;
    esac
    ;;
esac
exit 0

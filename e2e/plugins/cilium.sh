# title: Cilium-like
# parts: veth, VXLAN between the nodes, proxy ARP, filters on ethertype and source address (nftables, netdev ingress)
# shows: the MTU is the default route's, below the link's; only IPv4 and ARP leave, with no source address other than the pod's
# needs: jq nft sysctl
# address: 10.0.0.70/32
# address6: fd00:10::70/128
# mtu: 1450
# routes: default_via_10.0.0.215 10.0.0.215
# gateway-answers: 10.0.0.215
# gateway-answers6: fd00:10::215
# local: 10.0.0.71
# remote: 10.0.1.5
# service: 10.96.0.1
# local6: fd00:10::71
# remote6: fd00:10:1::5
# service6: fd00:10:96::1
# tap: lxc0
# segments: yes
# flags: -

source "${BASH_SOURCE[0]%/*}/common.bash"

# router: the part of the node that all pods share: one router address, and an overlay to the other node.
router() {
	two_nodes 10.0.0.0/24
	overlay cilium_vxlan 10.0.0.0/24
	ip -n "$NODE" link add cilium_host type veth peer name cilium_net
	ip -n "$NODE" addr add 10.0.0.215/32 dev cilium_host
	ip -n "$NODE" link set cilium_net up
	ip -n "$NODE" link set cilium_host up
	behind "$NODE2" "$REMOTE" 10.0.1.5 10.0.1
	behind "$NODE2" "$SERVICE" 10.96.0.1 10.96.0
}

# endpoint NAMESPACE DEVICE ADDRESS: addresses and routes at both ends of a pod's link, as Cilium's plugin configures them.
endpoint() {
	ip -n "$NODE" link set "$2" up
	ip -n "$NODE" route add "$3/32" dev "$2" scope link src 10.0.0.215
	ip -n "$1" link set eth0 up
	ip -n "$1" addr add "$3/32" dev eth0
	ip -n "$1" route add 10.0.0.215 dev eth0 scope link
	ip -n "$1" route add default via 10.0.0.215 mtu 1450
}

# router6, endpoint6 NAMESPACE DEVICE ADDRESS6: the same for IPv6. The node answers solicitations for its router address at every pod.
router6() {
	ip netns exec "$NODE" sysctl -qw net.ipv6.conf.all.forwarding=1
	ip netns exec "$NODE2" sysctl -qw net.ipv6.conf.all.forwarding=1
	ip -n "$NODE" addr add fd00:198:51:100::1/64 dev cilium_vxlan nodad
	ip -n "$NODE2" addr add fd00:198:51:100::2/64 dev cilium_vxlan nodad
	ip -n "$NODE" route add default via fd00:198:51:100::2
	ip -n "$NODE2" route add fd00:10::/64 via fd00:198:51:100::1
	ip -n "$NODE" addr add fd00:10::215/128 dev cilium_host nodad
	ip -n "$NODE2" addr add fd00:10:1::fe/64 dev to-remote nodad
	ip -n "$REMOTE" addr add fd00:10:1::5/64 dev eth0 nodad
	ip -n "$REMOTE" route add default via fd00:10:1::fe
	ip -n "$NODE2" addr add fd00:10:96::fe/64 dev to-service nodad
	ip -n "$SERVICE" addr add fd00:10:96::1/64 dev eth0 nodad
	ip -n "$SERVICE" route add default via fd00:10:96::fe
}

endpoint6() {
	ip netns exec "$NODE" sysctl -qw "net.ipv6.conf.$2.proxy_ndp=1" "net.ipv6.neigh.$2.proxy_delay=0"
	ip -n "$NODE" neigh add proxy fd00:10::215 dev "$2"
	ip -n "$NODE" route add "$3/128" dev "$2" src fd00:10::215
	ip -n "$NODE" neigh add "$3" lladdr "$(ip netns exec "$1" cat /sys/class/net/eth0/address)" dev "$2" nud permanent
	ip -n "$1" addr add "$3/128" dev eth0 nodad
	ip -n "$1" route add fd00:10::215 dev eth0
	ip -n "$1" route add default via fd00:10::215 mtu 1450
}

# workload NAMESPACE DEVICE ADDRESS: a pod on a veth. The node answers ARP for all addresses, and has a permanent entry with the pod's MAC.
workload() {
	ip -n "$NODE" link add "$2" mtu 1500 type veth peer name eth0 mtu 1500 netns "$1"
	endpoint "$1" "$2" "$3"
	ip netns exec "$NODE" sysctl -qw "net.ipv4.conf.$2.proxy_arp=1" "net.ipv4.neigh.$2.proxy_delay=0"
	ip -n "$NODE" neigh add "$3" lladdr "$(ip netns exec "$1" cat /sys/class/net/eth0/address)" dev "$2" nud permanent
}

up() {
	router
	workload "$POD" lxc0 10.0.0.70
	workload "$LOCAL" lxc1 10.0.0.71
	router6
	endpoint6 "$POD" lxc0 fd00:10::70
	endpoint6 "$LOCAL" lxc1 fd00:10::71
	source_guard lxc0 10.0.0.70 ip ip6 arp
	source_guard6 lxc0 "$POD" fd00:10::70 accept
}

learnt() {
	ip -n "$NODE" -j neigh show dev lxc0 nud permanent
}

forbidden() {
	guarded lxc0
	guarded6 lxc0
}

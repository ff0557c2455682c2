# title: AWS-VPC-like
# parts: veth, permanent neighbours at both ends, a node that drops ARP (nftables), MTU 9001
# shows: the gateway's MAC comes from the pod's permanent neighbour; no ARP request for it is sent or would be answered
# needs: jq nft sysctl
# address: 172.31.2.37/32
# address6: 2001:db8:31:2::37/128
# mtu: 9001
# routes: default_via_169.254.1.1 169.254.1.1
# gateway-answers: -
# gateway-answers6: -
# local: 172.31.2.38
# remote: 172.31.16.5
# service: 10.100.0.1
# local6: 2001:db8:31:2::38
# remote6: 2001:db8:31:10::5
# service6: fd00:10:100::1
# tap: eni0
# segments: yes
# flags: -
# only6: yes

source "${BASH_SOURCE[0]%/*}/common.bash"

mac() { # NAMESPACE DEVICE
	ip netns exec "$1" cat "/sys/class/net/$2/address"
}

# workload NAMESPACE DEVICE ADDRESS ADDRESS6: a pod as Amazon's plugin configures it; each end of the veth has a neighbour entry with the
# other end's MAC.
workload() {
	ip -n "$NODE" link add "$2" mtu 9001 type veth peer name eth0 mtu 9001 netns "$1"
	ip -n "$NODE" link set "$2" up
	ip -n "$1" link set eth0 up
	ip -n "$1" addr add "$3/32" dev eth0
	ip -n "$1" route add 169.254.1.1 dev eth0 scope link
	ip -n "$1" route add default via 169.254.1.1
	ip -n "$1" neigh add 169.254.1.1 lladdr "$(mac "$NODE" "$2")" dev eth0 nud permanent
	ip -n "$NODE" route add "$3/32" dev "$2" scope link
	ip -n "$NODE" neigh add "$3" lladdr "$(mac "$1" eth0)" dev "$2" nud permanent
	ip -n "$1" addr add "$4/128" dev eth0 nodad
	ip -n "$1" route add fe80::1 dev eth0
	ip -n "$1" route add default via fe80::1 dev eth0
	ip -n "$1" neigh add fe80::1 lladdr "$(mac "$NODE" "$2")" dev eth0 nud permanent
	ip -n "$NODE" route add "$4/128" dev "$2"
	ip -n "$NODE" neigh add "$4" lladdr "$(mac "$1" eth0)" dev "$2" nud permanent
	source_guard "$2" "$3" ip ip6
	source_guard6 "$2" "$1" "$4" "counter name discovery drop"
}

# jumbo NAMESPACE DEVICE...: sets the MTU of a VPC.
jumbo() {
	local namespace=$1 device
	shift
	for device; do
		ip -n "$namespace" link set "$device" mtu 9001
	done
}

up() {
	two_nodes 172.31.2.0/24 2001:db8:31:2::/64
	workload "$POD" eni0 172.31.2.37 2001:db8:31:2::37
	workload "$LOCAL" eni1 172.31.2.38 2001:db8:31:2::38
	behind "$NODE2" "$REMOTE" 172.31.16.5 172.31.16 2001:db8:31:10::5
	behind "$NODE2" "$SERVICE" 10.100.0.1 10.100.0 fd00:10:100::1
	jumbo "$NODE" under
	jumbo "$NODE2" under to-remote to-service
	jumbo "$REMOTE" eth0
	jumbo "$SERVICE" eth0
}

learnt() {
	ip -n "$NODE" -j neigh show dev eni0 nud permanent
}

forbidden() {
	guarded eni0
	guarded6 eni0
}

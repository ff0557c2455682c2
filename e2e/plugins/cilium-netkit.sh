# title: Cilium-like, netkit
# parts: veth without ARP, both ends with the same MAC (netkit's ends have none), VXLAN between the nodes, filters on ethertype and source address (nftables, netdev ingress)
# shows: a link without ARP and without distinct MACs: no ARP frame leaves, and frames from the pod's own MAC arrive
# needs: nft
# address: 10.0.0.70/32
# mtu: 1450
# routes: default_via_10.0.0.215 10.0.0.215
# gateway-answers: 10.0.0.215
# local: 10.0.0.71
# remote: 10.0.1.5
# service: 10.96.0.1
# tap: lxc0
# segments: yes
# flags: -
# macless: yes

source "${BASH_SOURCE[0]%/*}/cilium.sh"

# workload NAMESPACE DEVICE ADDRESS: a pod on a link without ARP. The kernel sends to its own MAC there, and accepts frames for its
# own MAC, so both ends have the same one.
workload() {
	ip -n "$NODE" link add "$2" address 02:00:00:00:00:01 mtu 1500 type veth \
		peer name eth0 address 02:00:00:00:00:01 mtu 1500 netns "$1"
	ip -n "$NODE" link set "$2" arp off
	ip -n "$1" link set eth0 arp off
	endpoint "$1" "$2" "$3"
}

up() {
	router
	workload "$POD" lxc0 10.0.0.70
	workload "$LOCAL" lxc1 10.0.0.71
	source_guard lxc0 10.0.0.70 ip
}

learnt() {
	ip -n "$NODE" -j neigh show dev lxc0
}

forbidden() {
	guarded lxc0
}

# title: Calico-like, BPF
# parts: Calico's veth; frames to the pod with the MAC of the node's end and the packet type that bpf_redirect_peer sets; source filter (nftables)
# shows: frames to the pod address reach the guest, whatever their destination MAC
# needs: nft sysctl
# address: 192.168.103.70/32
# mtu: 1450
# routes: default_via_169.254.1.1 169.254.1.1
# gateway-answers: -
# local: 192.168.103.71
# remote: 192.168.200.5
# service: 10.96.0.1
# tap: cali0
# segments: yes
# flags: -

source "${BASH_SOURCE[0]%/*}/calico.sh"

# redirect_peer NAMESPACE DEVICE ADDRESS: emulates bpf_redirect_peer, which passes a frame to the pod interface without rewriting or
# checking its destination MAC. The frame keeps the MAC of the node's end and the packet type "for this host": the pod's kernel accepts
# it, and a bridge in the pod would not deliver it. Here the node's neighbour entry has that MAC, and a rule sets the packet type in the
# ingress hook, behind all packet sockets, which see an ordinary frame with a foreign MAC.
redirect_peer() {
	ip -n "$NODE" neigh replace "$3" lladdr ee:ee:ee:ee:ee:ee dev "$2" nud permanent
	ip netns exec "$1" nft -f - <<-'EOF'
		table netdev redirect-peer {
			chain ingress {
				type filter hook ingress device "eth0" priority 0
				ether daddr ee:ee:ee:ee:ee:ee meta pkttype set unicast
			}
		}
	EOF
}

up() {
	two_nodes 192.168.103.0/24
	workload "$POD" cali0 192.168.103.70
	workload "$LOCAL" cali1 192.168.103.71
	behind "$NODE2" "$REMOTE" 192.168.200.5 192.168.200
	behind "$NODE2" "$SERVICE" 10.96.0.1 10.96.0
	redirect_peer "$POD" cali0 192.168.103.70
	redirect_peer "$LOCAL" cali1 192.168.103.71
	source_guard cali0 192.168.103.70 ip arp
}

forbidden() {
	guarded cali0
}

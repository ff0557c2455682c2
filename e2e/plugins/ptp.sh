# title: ptp, as kindnet uses it
# parts: the real ptp and host-local plugins called by cnitool, strict reverse-path filter
# shows: a /24 address whose subnet is not on-link: every neighbour is behind the gateway, which answers ARP for itself only
# needs: jq nft nstat sysctl unshare
# tools: yes
# address: 10.244.1.7/24
# address6: fd00:10:244:1::7/64
# mtu: 1500
# routes: default_via_10.244.1.1 10.244.1.1
# gateway-answers: 10.244.1.1
# gateway-answers6: fd00:10:244:1::1
# local: 10.244.1.8
# remote: 192.168.200.5
# service: 10.96.0.1
# local6: fd00:10:244:1::8
# remote6: fd00:192:168:200::5
# service6: fd00:10:96::1
# tap: pod
# segments: yes
# flags: -

source "${BASH_SOURCE[0]%/*}/common.bash"

up() {
	two_nodes 10.244.1.0/24 fd00:10:244:1::/64
	behind "$NODE2" "$REMOTE" 192.168.200.5 192.168.200 fd00:192:168:200::5
	behind "$NODE2" "$SERVICE" 10.96.0.1 10.96.0 fd00:10:96::1
	ip netns exec "$NODE" sysctl -qw net.ipv4.conf.all.rp_filter=1
	# kindnet's list also has portmap, which adds nothing to a pod interface.
	cni_network kindnet 10.244.1.0/24,fd00:10:244:1::/64 10.244.1.7,fd00:10:244:1::7 0.0.0.0/0 ::/0 <<-'EOF'
		{"type": "ptp", "ipMasq": false, "mtu": 1500}
	EOF
	cni_add "$NODE" kindnet "$POD" pod
	cni_add "$NODE" kindnet "$LOCAL"
	count_questions
}

# The node answers no ARP for other pods. A request for one means that the sender takes the subnet for on-link.
count_questions() {
	ip netns exec "$NODE" nft -f - <<-EOF
		table netdev watch {
			counter asks-for-others { }
			chain pod {
				type filter hook ingress device "$(node_end "$POD")" priority 0
				arp operation request arp daddr ip != 10.244.1.1 counter name asks-for-others
				icmpv6 type nd-neighbor-solicit @th,64,16 0xfd00 @th,64,128 != 0xfd000010024400010000000000000001 counter name asks-for-others
			}
		}
	EOF
}

learnt() {
	neighbour 10.244.1.7
	neighbour fd00:10:244:1::7
}

forbidden() {
	ip netns exec "$NODE" nstat -asz TcpExtIPReversePathFilter
	ip netns exec "$NODE" nft list counters table netdev watch
}

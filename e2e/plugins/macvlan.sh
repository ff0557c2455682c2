# title: macvlan
# parts: the real macvlan (bridge mode) and host-local plugins called by cnitool, a switch with port security (nftables)
# shows: a device that receives frames to its own MAC only, next to another one on the same parent; a router outside the node
# needs: bridge jq nft sysctl unshare
# tools: yes
# address: 192.168.50.7/24
# address6: fd00:192:168:50::7/64
# mtu: 1500
# routes: default_via_192.168.50.1
# gateway-answers: 192.168.50.1
# gateway-answers6: fd00:192:168:50::1
# local: 192.168.50.8
# remote: 192.168.50.30
# service: 10.96.0.1
# local6: fd00:192:168:50::8
# remote6: fd00:192:168:50::30
# service6: fd00:10:96::1
# tap: wire
# others: 02:00:00:00:00:08
# segments: yes
# flags: -

source "${BASH_SOURCE[0]%/*}/common.bash"

# A node's kernel has no end of a macvlan and cannot reach it: the other end of the pod's wire is in the external network. So here NODE is
# that network, a switch and a router, and NODE2 is the node, whose uplink is the parent.
up() {
	ip netns exec "$NODE" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	ip -n "$NODE" link add lan type bridge
	ip -n "$NODE" addr add 192.168.50.1/24 dev lan
	ip -n "$NODE" addr add fd00:192:168:50::1/64 dev lan nodad
	ip -n "$NODE" link set lan up
	ip netns exec "$NODE2" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 # the node's own solicitations
	port wire "$NODE2" uplink
	port far "$REMOTE" eth0
	ip -n "$REMOTE" addr add 192.168.50.30/24 dev eth0
	ip -n "$REMOTE" addr add fd00:192:168:50::30/64 dev eth0 nodad
	ip -n "$REMOTE" route add default via 192.168.50.1
	ip -n "$REMOTE" route add default via fd00:192:168:50::1
	behind "$NODE" "$SERVICE" 10.96.0.1 10.96.0 fd00:10:96::1
	cni_network lan 192.168.50.0/24,fd00:192:168:50::/64 192.168.50.7,fd00:192:168:50::7 0.0.0.0/0 ::/0 <<-'EOF'
		{"type": "macvlan", "master": "uplink", "mode": "bridge"}
	EOF
	cni_add "$NODE2" lan "$POD"
	CNI_ARGS="IgnoreUnknown=1;MAC=02:00:00:00:00:08" cni_add "$NODE2" lan "$LOCAL"
	secure_port
}

# port PORT NAMESPACE DEVICE: connects a device to the switch.
port() {
	ip -n "$NODE" link add "$1" type veth peer name "$3" netns "$2"
	ip -n "$NODE" link set "$1" master lan up
	ip -n "$2" link set "$3" up
}

# Port security: the switch accepts two MACs on the node's port.
secure_port() {
	ip netns exec "$NODE" nft -f - <<-EOF
		table bridge security {
			counter violations { }
			chain ports {
				type filter hook prerouting priority -300
				iifname wire ether saddr != { $(mac_of "$POD"), $(mac_of "$LOCAL") } counter name violations drop
			}
		}
	EOF
}

learnt() {
	stations lan
	neighbour 192.168.50.7
	neighbour fd00:192:168:50::7
}

forbidden() {
	ip netns exec "$NODE" nft list counters table bridge security
}

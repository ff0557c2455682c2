# title: bridge with macspoofchk
# parts: the real bridge and host-local plugins called by cnitool, with the plugin's nftables rules
# shows: a node that drops every frame whose source MAC is not the pod's
# needs: bridge jq nft sysctl unshare
# tools: yes
# address: 10.88.0.7/16
# address6: fd00:10:88::7/64
# mtu: 1500
# routes: default_via_10.88.0.1
# gateway-answers: 10.88.0.1
# gateway-answers6: fd00:10:88::1
# local: 10.88.0.8
# remote: 192.168.200.5
# service: 10.96.0.1
# local6: fd00:10:88::8
# remote6: fd00:192:168:200::5
# service6: fd00:10:96::1
# tap: pod
# segments: yes
# flags: -
# only6: yes

source "${BASH_SOURCE[0]%/*}/common.bash"

up() {
	two_nodes 10.88.0.0/16 fd00:10:88::/64
	behind "$NODE2" "$REMOTE" 192.168.200.5 192.168.200 fd00:192:168:200::5
	behind "$NODE2" "$SERVICE" 10.96.0.1 10.96.0 fd00:10:96::1
	cni_network checked 10.88.0.0/16,fd00:10:88::/64 10.88.0.7,fd00:10:88::7 0.0.0.0/0 ::/0 <<-'EOF'
		{"type": "bridge", "bridge": "cni0", "isGateway": true, "macspoofchk": true}
	EOF
	cni_add "$NODE" checked "$POD" pod
	cni_add "$NODE" checked "$LOCAL"
	count_drops "$POD"
	count_drops "$LOCAL"
	see_a_drop
	query_members
}

# The plugin's chain for a pod ends with a rule that drops. This adds a counter before that rule.
count_drops() { # NAMESPACE
	local chain handle
	read -r chain handle < <(ip netns exec "$NODE" nft -j list table bridge nat | jq -r --arg mac "$(mac_of "$1")" '
		[.nftables[].rule | select(.)] as $rules
		| ($rules[] | select(any(.expr[]; .match.right? == $mac)) | .chain) as $chain
		| $rules[] | select(.chain == $chain and any(.expr[]; has("drop"))) | "\(.chain) \(.handle)"')
	ip netns exec "$NODE" nft insert rule bridge nat "$chain" position "$handle" counter
}

# Verifies that the check is active: the local pod uses another MAC for a moment.
see_a_drop() {
	local before mac
	before=$(forbidden)
	mac=$(mac_of "$LOCAL")
	ip -n "$LOCAL" link set eth0 address 02:00:00:00:00:66
	ip netns exec "$LOCAL" ping -c1 -W0.2 10.88.0.1 >/dev/null && return 1
	ip -n "$LOCAL" link set eth0 address "$mac"
	[ "$(forbidden)" != "$before" ]
}

# The bridge asks for members of groups, and forgets a port that has not reported one for two seconds. Solicitations for the pod address
# reach the pod only as long as it is a member of the group of that address.
query_members() {
	ip -n "$NODE" link set cni0 type bridge mcast_querier 1 mcast_query_interval 100 mcast_query_response_interval 50 \
		mcast_membership_interval 200 mcast_startup_query_interval 100
}

learnt() {
	stations cni0
	neighbour 10.88.0.7
	neighbour fd00:10:88::7
}

forbidden() {
	ip netns exec "$NODE" nft list table bridge nat
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// descriptions is the number of packets that trafgen sends in turn. trafgen needs longer to start with more of them (60 ms with these, 9 s
// with 65536), and repeats IP identifications more often with fewer. Its rate does not depend on the number.
const descriptions = 4096

// ends has the addresses of a flood's packets: source, destination, and the MACs of the sender and of its next hop.
type ends struct{ from, to, mac, hop string }

// description returns trafgen's configuration of a flood: packets of 60 octets, which are 64 on a wire, of several flows in turn, each with
// its own source port. Like packets of a connected socket of Linux, they have the DF flag and identifications that increase within a flow,
// so that a switch can merge them. Packets of IPv6 have the same payload and are 20 octets longer. trafgen adds lengths and checksums when
// it starts.
func description(e ends, ipv6 bool, flows int) string {
	var b strings.Builder
	for i := range descriptions {
		flow, number := i%flows, i/flows+1
		ip := fmt.Sprintf("ipv4(id=%d, df, ttl=64, sa=%s, da=%s)", number, e.from, e.to)
		if ipv6 {
			ip = fmt.Sprintf("ipv6(hoplimit=64, sa=%s, da=%s)", e.from, e.to)
		}
		fmt.Fprintf(&b, "{ eth(da=%s, sa=%s), %s, udp(sp=%d, dp=%d), fill(0, 18) }\n", e.hop, e.mac, ip, floodPort+flow, floodPort)
	}
	return b.String()
}

// ends reads the addresses of a flood in the sender's namespace. The sender must have resolved its next hop before, because trafgen does
// not.
func (s *session) ends(ctx context.Context, w way) (ends, error) {
	from, hop := w.floodFrom(s), w.to(s)
	if _, err := from.run(ctx, fmt.Sprintf("%s await %s 10", s.load, at(hop, askPort))); err != nil {
		return ends{}, fmt.Errorf("before a flood: %w", err)
	}
	route, err := only[struct{ Gateway, Prefsrc string }](from.run(ctx, "ip -j route get "+hop))
	if err != nil {
		return ends{}, err
	}
	if route.Gateway != "" {
		hop = route.Gateway
	}
	neighbour, err := only[struct{ Lladdr string }](from.run(ctx, "ip -j neigh show to "+hop+" dev "+w.floodDev))
	if err != nil {
		return ends{}, fmt.Errorf("neighbour %s: %w", hop, err)
	}
	link, err := only[struct{ Address string }](from.run(ctx, "ip -j link show "+w.floodDev))
	if err != nil {
		return ends{}, err
	}
	return ends{from: route.Prefsrc, to: w.to(s), mac: link.Address, hop: neighbour.Lladdr}, nil
}

// only parses the output of ip -j with exactly one object.
func only[T any](text string, err error) (T, error) {
	var objects []T
	var none T
	if err != nil {
		return none, err
	}
	if err := json.Unmarshal([]byte(text), &objects); err != nil {
		return none, fmt.Errorf("ip's listing %q: %w", text, err)
	}
	if len(objects) != 1 {
		return none, fmt.Errorf("ip's listing %q: %d objects, want 1", text, len(objects))
	}
	return objects[0], nil
}

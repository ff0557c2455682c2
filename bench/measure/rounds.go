package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// A measurement applies a load to a running candidate.
type measurement = func(context.Context, *session) ([]reading, error)

// A group is a set of measurements that -figures can select. A session makes them one after another.
type group struct {
	name string
	mtu  int
	once bool   // only in the first round
	ipv6 bool   // the pod and the guest have IPv6 too
	bare bool   // the guest gets its address by DHCP; only for candidates with a DHCP server
	load string // program that the group needs and that a machine may lack; empty for none
	list []measurement
}

// groups returns the groups in the order in which a session measures them. Floods are last, because they may leave full queues.
func groups() []group {
	out, in := ways[0], ways[1]
	out6, in6 := ways6[0], ways6[1]
	tcp, udp := asks(out)
	tcp6, udp6 := asks(out6)
	bulks := []measurement{bulk(out, 1, cubic), bulk(in, 1, cubic), bulk(out, 4, cubic), bulk(in, 4, cubic)}
	var bulks6 []measurement
	for i, flows := range []int{1, 1, 4, 4} {
		bulks6 = append(bulks6, afterIPv4(bulks[i], bulk(ways6[i%2], flows, cubic)))
	}
	return []group{
		{name: "startup", mtu: 1500, bare: true, list: []measurement{startup}},
		{name: "rr", mtu: 1500, list: []measurement{tcp, udp}},
		{name: "connect", mtu: 1500, list: []measurement{connect}},
		{name: "tcp", mtu: 1500, list: bulks},
		{name: "bbr", mtu: 1500, list: []measurement{bulk(out, 1, bbr), bulk(in, 1, bbr)}},
		{name: "pps", mtu: 1500, load: "trafgen", list: []measurement{flood(out, 1), flood(in, 1), flood(out, 64), flood(in, 64)}},
		{name: "ipv6", mtu: 1500, ipv6: true, list: slices.Concat([]measurement{afterIPv4(tcp, tcp6), afterIPv4(udp, udp6)}, bulks6)},
		{name: "pps6", mtu: 1500, ipv6: true, load: "trafgen", list: []measurement{
			afterIPv4(flood(out, 1), flood(out6, 1)), afterIPv4(flood(in, 1), flood(in6, 1))}},
		{name: "memory", mtu: 1500, list: []measurement{memory}},
		{name: "idle", mtu: 1500, once: true, list: []measurement{idle}},
		{name: "ports", mtu: 1500, load: "trafgen", list: []measurement{bulk(out, 1, cubic), bulk(in, 1, cubic), flood(out, 1), flood(in, 1)}},
		{name: "jumbo", mtu: jumbo, list: bulks},
	}
}

// A bench is a run of this program.
type bench struct {
	options
	id         string // prefix of the namespaces' names
	work       string
	pump, load string // paths of the programs in the work folder
	progress   io.Writer
	results    *results
	given      map[string]bool // candidates, groups, and groups of a candidate that have failed and are not measured again
}

// run makes all rounds. Each round starts with another candidate.
func (b *bench) run(ctx context.Context, all []candidate) error {
	for round := range b.rounds {
		for i := range all {
			c := all[(i+round)%len(all)]
			if err := b.candidate(ctx, c, round); err != nil {
				return err
			}
		}
	}
	return nil
}

// candidate measures one candidate in one round. It records failures, and returns an error only if the run was interrupted.
func (b *bench) candidate(ctx context.Context, c candidate, round int) error {
	for _, mtu := range []int{1500, jumbo} {
		var together, both []group
		for _, g := range groups() {
			switch {
			case g.mtu != mtu || mtu > c.largest || !b.wants(c, g, round):
			case g.bare:
				b.session(ctx, c, round, []group{g})
			case g.ipv6:
				both = append(both, g)
			default:
				together = append(together, g)
			}
		}
		for _, list := range [][]group{together, both} {
			if len(list) > 0 {
				b.session(ctx, c, round, list)
			}
		}
	}
	return ctx.Err()
}

func (b *bench) wants(c candidate, g group, round int) bool {
	switch {
	case b.given[c.name] || b.given[g.name] || b.given[c.name+g.name]:
		return false
	case !slices.Contains(b.figures, g.name):
		return false
	case g.once && round > 0, g.bare && !c.leases, g.ipv6 && !c.ipv6:
		return false
	case c.groups == nil:
		return g.name != "ports"
	default:
		return slices.Contains(c.groups, g.name)
	}
}

// session measures groups of one round, one after another in one topology.
func (b *bench) session(ctx context.Context, c candidate, round int, together []group) {
	fmt.Fprintf(b.progress, "bench: round %d of %d: %s, MTU %d\n", round+1, b.rounds, c.name, together[0].mtu)
	s, err := b.open(ctx, together[0])
	if err != nil {
		b.giveUp(ctx, c, "", err)
		return
	}
	defer s.close()
	if err := s.begin(ctx, c); err != nil {
		b.giveUp(ctx, c, "", errors.Join(err, s.logs()))
		return
	}
	for _, g := range together {
		if err := b.group(ctx, c, round, g, s); err != nil {
			b.giveUp(ctx, c, g.name, errors.Join(err, s.logs()))
		}
		if err := s.healthy(); err != nil {
			b.giveUp(ctx, c, "", errors.Join(err, s.logs()))
			return
		}
	}
}

func (s *session) begin(ctx context.Context, c candidate) error {
	if err := c.start(ctx, s); err != nil {
		return err
	}
	if s.bare {
		return s.healthy()
	}
	return errors.Join(s.control(ctx, cubic), s.reach(ctx), s.healthy())
}

func (b *bench) group(ctx context.Context, c candidate, round int, g group, s *session) error {
	for _, measure := range g.list {
		readings, err := measure(ctx, s)
		if err != nil {
			return err
		}
		b.results.add(c.name, round, readings)
	}
	return nil
}

// giveUp records the failure of a candidate, or of one of its groups, which is not measured again. An interrupt is not a failure.
func (b *bench) giveUp(ctx context.Context, c candidate, group string, err error) {
	if ctx.Err() != nil {
		return
	}
	why := strings.ReplaceAll(err.Error(), b.work+"/", "")
	fmt.Fprintf(b.progress, "bench: %s %s: %s\n", c.name, group, why)
	b.given[c.name+group] = true
	b.results.Absent = append(b.results.Absent, absence{Candidate: c.name, Figure: group, Why: why})
}

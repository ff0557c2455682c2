package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// A way is a direction, from the guest's point of view.
type way struct {
	name string
	ipv6 bool
	from func(*session) namespace
	to   func(*session) string // destination address of the load
	end  func(*session) namespace

	// A flood to the guest starts at the node's bridge. From the peer, each packet would pass a veth and the bridge on the generator's
	// core too, and their rate would limit the result.
	floodFrom func(*session) namespace
	floodDev  string // interface that the flood is sent from
}

var ways = [2]way{
	{name: "out", from: atGuest, to: func(*session) string { return peerAddr }, end: atPeer, floodFrom: atGuest, floodDev: "tap0"},
	{name: "in", from: atPeer, to: func(s *session) string { return s.target }, end: atGuest, floodFrom: atNode, floodDev: "cni0"},
}

// ways6 are the same over IPv6.
var ways6 = [2]way{
	overIPv6(ways[0], func(*session) string { return peerAddr6 }),
	overIPv6(ways[1], func(s *session) string { return s.target6 }),
}

func overIPv6(w way, to func(*session) string) way {
	w.ipv6, w.to = true, to
	return w
}

// anyAddress is the address of a server.
func (w way) anyAddress() string {
	if w.ipv6 {
		return "::"
	}
	return "0.0.0.0"
}

// over returns the suffix of a figure's name.
func (w way) over() string {
	if w.ipv6 {
		return ", IPv6"
	}
	return ""
}

func atGuest(s *session) namespace { return s.guest }
func atPeer(s *session) namespace  { return s.peer }
func atNode(s *session) namespace  { return s.node }

// Congestion controls, which are set so that the machine's default has no effect. CUBIC is Linux's default. BBR paces, so that the
// throughput of a single flow depends on the round-trip time and not only on the capacity of the path.
const (
	cubic = "cubic"
	bbr   = "bbr"
)

// bulk measures a TCP transfer. The throughput excludes the first second; the CPU time includes it.
func bulk(w way, flows int, control string) measurement {
	return func(ctx context.Context, s *session) ([]reading, error) {
		if err := s.control(ctx, control); err != nil {
			return nil, err
		}
		before, err := s.cpu()
		if err != nil {
			return nil, err
		}
		line := fmt.Sprintf("iperf3 -c %s -p %d -J -O 1 -t %d -P %d", w.to(s), bulkPort, s.seconds, flows)
		limited, cancel := context.WithTimeout(ctx, time.Duration(s.seconds+15)*time.Second)
		defer cancel()
		out, err := w.from(s).run(limited, line)
		if err != nil {
			return nil, err
		}
		after, err := s.cpu()
		if err != nil {
			return nil, err
		}
		speed, bytes, err := parseIperf([]byte(out))
		if err != nil {
			return nil, err
		}
		return []reading{{figure: tcpFigure(w, flows, s.mtu, control), value: speed / 1e9, cpu: (after - before) / (bytes / 1e9)}}, nil
	}
}

// control sets the congestion control of new connections, including those that a candidate makes in the pod, with routes (ip-route(8),
// congctl). The default of a namespace cannot be used: the kernel accepts only congestion controls that the machine allows to
// unprivileged users. iperf3 -C cannot be used: it changes the congestion control of an existing connection, and the kernel keeps pacing a
// connection that began with BBR, with a timer for every frame (sk_pacing_status, net/ipv4/tcp_bbr.c).
func (s *session) control(ctx context.Context, name string) error {
	for _, n := range s.namespaces() {
		if err := n.control(ctx, "-4", name); err != nil {
			return err
		}
	}
	if !s.both {
		return nil
	}
	// No candidate makes connections over IPv6 in the pod, whose routes may have no next hop while its address is moved.
	return errors.Join(s.peer.control(ctx, "-6", name), s.guest.control(ctx, "-6", name))
}

func (n namespace) control(ctx context.Context, family, name string) error {
	routes, err := n.run(ctx, "ip "+family+" route show")
	if err != nil {
		return err
	}
	return n.ip(ctx, controlled(routes, name)...)
}

// controlled returns the commands of ip(8) that set a congestion control on routes, which are given in the format of ip-route(8).
func controlled(routes, name string) (commands []string) {
	for route := range strings.Lines(routes) {
		var words []string
		fields := strings.Fields(route)
		for i, word := range fields {
			given := word == "congctl" || i > 0 && fields[i-1] == "congctl"
			if state := word == "linkdown" || word == "dead"; !given && !state {
				words = append(words, word)
			}
		}
		commands = append(commands, "route change "+strings.Join(words, " ")+" congctl "+name)
	}
	return commands
}

// parseIperf parses the output of iperf3 -J. It returns the received bits per second, and the octets of the whole run including the first
// second.
func parseIperf(text []byte) (speed, bytes float64, err error) {
	var report struct {
		Error     string
		Intervals []struct{ Sum struct{ Bytes float64 } }
		End       struct {
			Received struct {
				Speed float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		}
	}
	if err := json.Unmarshal(text, &report); err != nil {
		return 0, 0, fmt.Errorf("iperf3's report: %w", err)
	}
	for _, i := range report.Intervals {
		bytes += i.Sum.Bytes
	}
	switch {
	case report.Error != "":
		return 0, 0, fmt.Errorf("iperf3: %s", report.Error)
	case report.End.Received.Speed <= 0 || bytes <= 0:
		return 0, 0, fmt.Errorf("iperf3: nothing was received")
	}
	return report.End.Received.Speed, bytes, nil
}

// ask measures the response times of requests that bench/load makes in the guest.
func ask(w way, verb string, half, most figure) measurement {
	return func(ctx context.Context, s *session) ([]reading, error) {
		report, err := s.loadReport(ctx, verb, w.to(s))
		if err != nil {
			return nil, err
		}
		half.Name, most.Name = half.Name+w.over(), most.Name+w.over()
		return []reading{{figure: half, value: report.P50}, {figure: most, value: report.P99}}, nil
	}
}

// afterIPv4 makes a measurement over IPv4 and then the same one over IPv6, and returns the readings of the latter with the values of the former.
// Nothing else is between the two, so that their ratio depends less on the machine's other load than on the family.
func afterIPv4(ipv4, ipv6 measurement) measurement {
	return func(ctx context.Context, s *session) ([]reading, error) {
		base, err := ipv4(ctx, s)
		if err != nil {
			return nil, err
		}
		readings, err := ipv6(ctx, s)
		for i := range readings {
			readings[i].ipv4 = base[i].value
		}
		return readings, err
	}
}

// asks measures requests and responses in a direction's family; the guest asks.
func asks(w way) (tcp, udp measurement) {
	return ask(w, "tcp", askTCP50, askTCP99), ask(w, "udp", askUDP50, askUDP99)
}

func connect(ctx context.Context, s *session) ([]reading, error) {
	report, err := s.loadReport(ctx, "connect", peerAddr)
	if err != nil {
		return nil, err
	}
	return []reading{{figure: connections, value: float64(report.Requests) / report.Seconds}}, nil
}

// An askReport is the output of bench/load.
type askReport struct {
	Requests, Lost    int
	Seconds, P50, P99 float64
}

func (s *session) loadReport(ctx context.Context, verb, address string) (askReport, error) {
	var report askReport
	out, err := s.guest.run(ctx, fmt.Sprintf("%s %s %s 1", s.load, verb, at(address, askPort)))
	if err != nil {
		return report, err
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		return report, fmt.Errorf("load's report %q: %w", out, err)
	}
	if report.Lost > report.Requests/100 {
		return report, fmt.Errorf("%s: %d of %d requests were lost", verb, report.Lost, report.Lost+report.Requests)
	}
	return report, nil
}

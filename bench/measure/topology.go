package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// The addresses of the topology. The guest has the pod's address if the candidate moves it, and its own address if the candidate connects
// it by Ethernet.
const (
	gateway   = "10.244.1.1"
	podAddr   = "10.244.1.7"
	peerAddr  = "10.244.1.8"
	guestAddr = "10.244.1.50"

	prefix6    = "fd00:10:244:1::"
	gateway6   = prefix6 + "1"
	podAddr6   = prefix6 + "7"
	peerAddr6  = prefix6 + "8"
	guestAddr6 = prefix6 + "50"
)

// The ports of the loads. A candidate that translates addresses forwards them to the guest.
const (
	bulkPort  = 5201 // iperf3
	askPort   = 5203 // bench/load
	floodPort = 5204 // bench/load refuse
)

// A session is one candidate in its own topology:
//
//	peer ── veth ── bridge (node) ── veth ── eth0 (pod) ─[ candidate ]─ tap0 (guest)
type session struct {
	*bench
	node, pod, peer, guest namespace
	mtu                    int
	work                   string // folder for the files of the candidate
	services               []*process
	parts                  []*process    // the processes of the candidate
	target, target6        string        // addresses of the guest, as seen by the peer
	both                   bool          // IPv6 too; otherwise only IPv4
	bare                   bool          // the guest's interface gets no address, for a DHCP client
	ready                  time.Duration // from the start of the candidate's last process until it was ready; 0: unknown
}

// open makes the topology of a group without a candidate.
func (b *bench) open(ctx context.Context, g group) (*session, error) {
	s := &session{bench: b, mtu: g.mtu, bare: g.bare, both: g.ipv6, target: guestAddr, target6: guestAddr6}
	for role, name := range map[string]*namespace{"node": &s.node, "pod": &s.pod, "peer": &s.peer, "guest": &s.guest} {
		*name = namespace(b.id + "-" + role)
	}
	var err error
	if s.work, err = os.MkdirTemp(b.work, "session"); err != nil {
		return nil, err
	}
	// Some candidates drop root before they make their sockets here.
	err = errors.Join(os.Chmod(s.work, 0o777), s.connect(ctx))
	if err == nil {
		err = s.serve(ctx)
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("make the topology: %w", err)
	}
	return s, nil
}

func (s *session) namespaces() []namespace { return []namespace{s.node, s.pod, s.peer, s.guest} }

func (s *session) connect(ctx context.Context) error {
	for _, n := range s.namespaces() {
		if _, err := host(ctx, "ip netns add "+string(n)); err != nil {
			return err
		}
		// Otherwise the kernel's IPv6 packets on a new device would be measured too.
		settings := "net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1"
		if s.both {
			settings = "net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.accept_ra=0 net.ipv6.conf.default.router_solicitations=0"
		}
		if _, err := n.run(ctx, "sysctl -qw "+settings); err != nil {
			return err
		}
		if err := n.ip(ctx, "link set lo up"); err != nil {
			return err
		}
	}
	bridge := []string{"link add cni0 type bridge", fmt.Sprintf("link set cni0 mtu %d up", s.mtu), "addr add " + gateway + "/24 dev cni0"}
	if err := s.node.ip(ctx, s.withIPv6(bridge, "addr add "+gateway6+"/64 dev cni0 nodad")...); err != nil {
		return err
	}
	return errors.Join(s.attach(ctx, s.pod, "v-pod", podAddr, podAddr6), s.attach(ctx, s.peer, "v-peer", peerAddr, peerAddr6))
}

// withIPv6 appends commands to others if the session has IPv6.
func (s *session) withIPv6(commands []string, more ...string) []string {
	if s.both {
		return append(commands, more...)
	}
	return commands
}

func (s *session) attach(ctx context.Context, end namespace, device, address, address6 string) error {
	err := s.node.ip(ctx,
		fmt.Sprintf("link add %s mtu %d type veth peer name eth0 mtu %d netns %s", device, s.mtu, s.mtu, end),
		fmt.Sprintf("link set %s master cni0 up", device))
	if err != nil {
		return err
	}
	return end.ip(ctx, s.withIPv6([]string{"addr add " + address + "/24 dev eth0", "link set eth0 up", "route add default via " + gateway},
		"addr add "+address6+"/64 dev eth0 nodad", "route add default via "+gateway6)...)
}

// ip runs each line as a command of ip(8).
func (n namespace) ip(ctx context.Context, lines ...string) error {
	_, err := finish(ctx, strings.Join(lines, "\n")+"\n", []string{"ip", "-n", string(n), "-batch", "-"})
	return err
}

// serve starts the servers of the loads at both ends.
func (s *session) serve(context.Context) error {
	for _, where := range []namespace{s.peer, s.guest} {
		services := [][]string{{"iperf3", "-s", "-p", fmt.Sprint(bulkPort)}, {s.load, "serve", at("0.0.0.0", askPort)}}
		if s.both {
			services = append(services, []string{s.load, "serve", at("::", askPort)})
		}
		for _, args := range services {
			p, err := start(where, "", args...)
			if err != nil {
				return err
			}
			s.services = append(s.services, p)
		}
	}
	return nil
}

// launch starts a process of the candidate in the pod. If marker is not empty, it waits until the process has printed it.
func (s *session) launch(marker string, args ...string) (*process, error) {
	return s.launchIn(s.pod, marker, args...)
}

func (s *session) launchIn(where namespace, marker string, args ...string) (*process, error) {
	p, err := start(where, marker, args...)
	if err != nil {
		return nil, err
	}
	s.parts = append(s.parts, p)
	if marker == "" {
		return p, nil
	}
	if err := p.awaitReady(); err != nil {
		return nil, err
	}
	s.ready = p.at.Sub(p.started)
	return p, nil
}

// healthy returns an error with the last output of a process if a process of the candidate has ended.
func (s *session) healthy() error {
	var errs []error
	for _, p := range s.parts {
		errs = append(errs, p.alive())
	}
	return errors.Join(errs...)
}

// plug moves tap0, which the candidate has made in the pod, to the guest.
func (s *session) plug(ctx context.Context, address string) error {
	if err := s.awaitLink(ctx, s.pod, "tap0"); err != nil {
		return err
	}
	if err := s.pod.ip(ctx, "link set tap0 netns "+string(s.guest)); err != nil {
		return err
	}
	if err := s.dress(ctx, address+"/24", gateway); err != nil || !s.both {
		return err
	}
	return s.guest.ip(ctx, "addr add "+s.target6+"/64 dev tap0 nodad", "route add default via "+gateway6)
}

// dress sets MTU, address and gateway of the guest's interface, or only the MTU if it is bare.
func (s *session) dress(ctx context.Context, prefix, router string) error {
	if s.bare {
		return s.guest.ip(ctx, fmt.Sprintf("link set tap0 mtu %d up", s.mtu))
	}
	return s.guest.ip(ctx, fmt.Sprintf("link set tap0 mtu %d up", s.mtu), "addr add "+prefix+" dev tap0", "route add default via "+router)
}

func (s *session) awaitLink(ctx context.Context, where namespace, device string) error {
	return await(ctx, device+" in "+string(where), func() error {
		if err := s.healthy(); err != nil {
			return err
		}
		return where.ip(ctx, "link show "+device)
	})
}

// reach waits until the guest and its peer reach each other through the candidate.
func (s *session) reach(ctx context.Context) error {
	list := ways[:]
	if s.both {
		list = append(list, ways6[:]...)
	}
	for _, way := range list {
		_, err := way.from(s).run(ctx, fmt.Sprintf("%s await %s 10", s.load, at(way.to(s), askPort)))
		if err != nil {
			return errors.Join(fmt.Errorf("guest %s: no answer: %w", way.name, err), s.healthy())
		}
	}
	return nil
}

// at returns an address with a port.
func at(address string, port int) string { return net.JoinHostPort(address, strconv.Itoa(port)) }

// logs returns the last output of the candidate as an error.
func (s *session) logs() error {
	var errs []error
	for _, p := range s.parts {
		if text := p.text(); text != "" {
			errs = append(errs, fmt.Errorf("%s: %s", filepath.Base(p.name), end(text, 5)))
		}
	}
	return errors.Join(errs...)
}

// close ends all processes and removes all namespaces of the session.
func (s *session) close() {
	for _, list := range [][]*process{s.services, s.parts} {
		for i := len(list) - 1; i >= 0; i-- {
			list[i].stop()
		}
	}
	// Not the session's context, which an interrupt may have cancelled.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, n := range s.namespaces() {
		_, _ = host(ctx, "ip netns del "+string(n)) // fails if it was not made
	}
	_ = os.RemoveAll(s.work)
}

package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
)

// A load is traffic both ways between the guest and the peer, while a test disturbs the switch.
type load struct {
	l               *lab
	sends, receives []*process // one for each direction, the direction from the guest first
}

// A flow has the results of one direction.
type flow struct {
	bytes, again            int    // TCP: bytes, and retransmitted segments
	sent, lost, twice, late int    // UDP: datagrams
	delay                   string // UDP: the longest of a datagram
}

// pourBoth starts a TCP stream each way.
func (l *lab) pourBoth() *load {
	l.t.Helper()
	o := &load{l: l}
	o.begin(l.guest, l.peer, peerAddress+":5000", "sink", "pour", "pouring", "7")
	o.begin(l.peer, l.guest, podAddress+":5000", "sink", "pour", "pouring", "8")
	return o
}

// countBoth starts to send rate datagrams a second each way.
func (l *lab) countBoth(rate int) *load {
	l.t.Helper()
	o := &load{l: l}
	o.begin(l.guest, l.peer, peerAddress+":4000", "count-udp", "send-udp", "sending", strconv.Itoa(rate))
	o.begin(l.peer, l.guest, podAddress+":4000", "count-udp", "send-udp", "sending", strconv.Itoa(rate))
	return o
}

func (o *load) begin(from, to namespace, address, receiver, sender, started, arg string) {
	o.l.t.Helper()
	o.receives = append(o.receives, to.serves(receiver, address[strings.IndexByte(address, ':'):]))
	p := from.start(from.as(sender, address, arg)...)
	p.awaitText(started)
	o.sends = append(o.sends, p)
}

// end ends the traffic and returns the results from the guest and to it. It fails the test if a stream broke or its contents changed.
func (o *load) end() (flows [2]flow) {
	o.l.t.Helper()
	for _, p := range o.sends {
		_ = syscall.Kill(p.cmd.Process.Pid, syscall.SIGTERM)
	}
	for i, p := range o.sends {
		if code := p.wait(); code != 0 {
			o.l.t.Errorf("%s: exit code %d: %s", p.name, code, p.text())
		}
		flows[i] = o.read(p.text(), o.receives[i])
	}
	for _, p := range o.receives {
		_ = p.cmd.Process.Kill()
		p.wait()
	}
	return flows
}

func (o *load) read(sent string, receiver *process) (f flow) {
	o.l.t.Helper()
	if _, line, ok := strings.Cut(sent, "poured "); ok {
		if _, err := fmt.Sscanf(line, "bytes=%d again=%d", &f.bytes, &f.again); err != nil {
			o.l.t.Errorf("%q: %v", line, err)
		}
		return f
	}
	receiver.awaitText("counted ")
	_, line, _ := strings.Cut(receiver.text(), "counted ")
	if _, err := fmt.Sscanf(line, "sent=%d lost=%d twice=%d late=%d delay=%s", &f.sent, &f.lost, &f.twice, &f.late, &f.delay); err != nil {
		o.l.t.Errorf("%q: %v", line, err)
	}
	return f
}

package unixport

import (
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/vswitch"
)

// greeting is what vfkit sends before its first frame, so that the other side learns its address.
const greeting = "VFKT"

// mostEmpty is how many empty packets in a row a peer is believed to have left behind when it hung up. The kernel gives one for ever
// when there are no others, and does not say which are the peer's own (net/unix/af_unix.c, unix_dgram_recvmsg); ioctl(2) would, and is
// not for a process in the sandbox. A send buffer of the default size, 208 KiB, has room for 278 of them. It is more than a batch, so
// that no frame comes with the end.
const mostEmpty = 1024

// A dgramPort is a unix socket that is bound or connected and keeps the bounds of what is sent; each datagram is a frame. Many
// pass in one system call.
type dgramPort struct {
	*device
	counters  *vswitch.Counters
	fixed     bool // the peer is always the same
	connected bool // and the kernel knows it
	ends      bool // a peer that hangs up is told by empty packets: SOCK_SEQPACKET

	rx    *datagrams // belongs to the goroutine that receives, as the following
	last  address    // who sent last
	empty int        // empty packets that were received last: the end, or short
	in    []vswitch.Frame
	n     int
	err   error
	read  func(fd uintptr) bool

	mu    sync.Mutex // guards the following, which belong to who transmits
	peer  address
	tx    *datagrams
	out   []vswitch.Frame
	write func(fd uintptr)
}

// newDgramPort takes over a socket that was checked, as the rest was.
func newDgramPort(d *device, counters *vswitch.Counters, s Socket, rest Rest) *dgramPort {
	p := &dgramPort{device: d, counters: counters, rx: newReceiveDatagrams(), tx: newDatagrams(),
		fixed: s.Connected || s.Remote != "", connected: s.Connected, ends: s.Type == typePacket}
	switch {
	case s.Remote != "":
		p.peer = addressOf(s.Remote)
	case len(rest.Peer) > 0:
		p.last = addressFrom(rest.Peer)
		p.peer = p.last
	}
	p.read, p.write = p.readBatch, p.writeBatch
	return p
}

// Counters implements vswitch.Port.
func (p *dgramPort) Counters() *vswitch.Counters { return p.counters }

// Receive implements vswitch.Port.
func (p *dgramPort) Receive(batch []vswitch.Frame) (int, error) {
	p.in, p.n, p.err = batch, 0, nil
	for p.n == 0 && p.err == nil {
		if err := p.Descriptor.Receive(p.read); err != nil {
			return 0, err
		}
	}
	return p.n, p.err
}

// readBatch receives once; it reports false when there is nothing yet. It does not go on until there is a frame: Close
// waits for it, and a peer may send what is no frame for ever. That a peer has left frames of ours unread, the kernel says once, and
// before it gives what the peer has sent: that is no end, and what follows says whether the peer has hung up.
func (p *dgramPort) readBatch(fd uintptr) bool {
	got, err := p.rx.receive(fd, min(len(p.in), vswitch.BatchSize))
	switch err {
	case 0:
		p.take(got)
	case unix.EINTR, unix.ECONNRESET, unix.ECONNREFUSED:
	case unix.EAGAIN:
		return false
	default:
		p.err = os.NewSyscallError("recvmmsg", err)
	}
	return true
}

// take turns received datagrams into frames.
func (p *dgramPort) take(got int) {
	var from *address
	for i := range got {
		data, sender, truncated := p.rx.datagram(i)
		if sender.usable() {
			from = sender
		}
		if len(data) == 0 && p.ends {
			p.empty++
			continue
		}
		p.dropEmpty()
		switch {
		case truncated:
			p.counters.Drop(vswitch.Truncated, 1)
		case string(data) == greeting:
		case len(data) < headerLen:
			p.counters.Drop(vswitch.Short, 1)
		default:
			p.in[p.n] = vswitch.Frame{Data: data}
			p.n++
		}
	}
	p.judgeEmpty()
	p.learn(from)
}

// judgeEmpty decides on empty packets that nothing has followed yet. While the peer is there they are nothing else; afterwards they are
// the end as soon as there were more of them than it can have left, and then always.
func (p *dgramPort) judgeEmpty() {
	switch {
	case p.empty == 0:
	case !p.gone():
		p.dropEmpty()
	case p.empty > mostEmpty:
		p.err = io.EOF
	}
}

// dropEmpty counts empty packets that are not the end.
func (p *dgramPort) dropEmpty() {
	if p.empty > 0 {
		p.counters.Drop(vswitch.Short, p.empty)
		p.empty = 0
	}
}

// learn makes who sent last the peer, where none is fixed.
func (p *dgramPort) learn(from *address) {
	if p.fixed || from == nil || from.equal(&p.last) {
		return
	}
	p.last = *from
	p.mu.Lock()
	p.peer = p.last
	p.mu.Unlock()
}

// Transmit implements vswitch.Port.
func (p *dgramPort) Transmit(batch []vswitch.Frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.connected && !p.peer.usable() {
		p.counters.Drop(vswitch.PortDown, len(batch))
		return
	}
	for len(batch) > 0 {
		p.out, batch = cut(batch, vswitch.BatchSize, p.counters)
		if !p.Descriptor.Transmit(p.write) {
			p.counters.Drop(vswitch.PortDown, len(p.out))
		}
	}
	p.out = nil
}

// writeBatch sends p.out. When the peer is absent or has no room, that holds for the rest of the batch too.
func (p *dgramPort) writeBatch(fd uintptr) {
	for i := range p.out {
		p.tx.set(i, &p.out[i], &p.peer)
	}
	frames, bytes := 0, 0
	for at := 0; at < len(p.out); {
		sent, err := p.tx.send(fd, at, len(p.out))
		if err == unix.EINTR {
			continue
		}
		if err != 0 {
			reason, lost := transmitReason(err), 1
			if reason == vswitch.PortFull || reason == vswitch.PortDown {
				lost = len(p.out) - at
			}
			p.counters.Drop(reason, lost)
			at += lost
			continue
		}
		for _, f := range p.out[at : at+sent] {
			bytes += len(f.Data)
		}
		frames += sent
		at += sent
	}
	p.tx.forget(len(p.out))
	p.counters.Sent(frames, bytes)
}

// leave implements leaver.
func (p *dgramPort) leave() (Rest, bool) {
	if !p.interrupted.Load() || p.closed.Load() {
		return Rest{}, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fixed || !p.peer.usable() {
		return Rest{}, true
	}
	return Rest{Peer: p.peer.bytes()}, true
}

// Close implements vswitch.Port.
func (p *dgramPort) Close() error { return p.close() }

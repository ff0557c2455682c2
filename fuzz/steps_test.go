package fuzz

import (
	"bytes"
	"net/netip"
	"slices"
	"time"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// An input is one byte that selects a configuration, and steps. A step is one byte for the operation and its operands:
//
//	raw     port, repetitions, offload header (10), number of explicit bytes (2), length of the frame (2), the explicit bytes; the
//	        rest of the frame counts up. With 128 added to the repetitions, the next raw step of the port is in the same batch
//	made    port, and the parts of a frame (frames_test.go)
//	wait    milliseconds (4)
//	pause   one of the times in pauses
//	tick
//	hand    holder, MAC
//	scan    kind, count, first host (2): many frames that differ in one address
//	static  port, MAC          for a bridge
//	forget  port               for a bridge
const (
	opRaw = iota
	opMade
	opWait
	opPause
	opTick
	opHand
	opScan
	opStatic
	opForget
	ops
)

// joinNext is added to the repetitions of a raw frame: the next one is in the same batch.
const joinNext = 128

// asWritten is added to the port of a raw frame whose IPv4 header keeps its checksum. Otherwise the checksum becomes right, so that a frame
// that the fuzzer has changed is not dropped for its checksum alone.
const asWritten = 128

// maxSteps and maxWork limit the time for one input. Work is measured in bytes of frames; each frame costs another frameWork bytes. The limit
// allows an input to hold a mebibyte of frames and to fill the tables three times.
const (
	maxSteps  = 400
	maxWork   = 5 << 18
	frameWork = 256
)

// A step is one operation on a forwarder.
type step struct {
	op     int
	port   int
	frames []vswitch.Frame // one batch; its frames may share memory
	wait   time.Duration
	holder vswitch.Holder
	mac    vswitch.MAC
}

// A world has the likely addresses for the frames of one configuration.
type world struct {
	ports  int
	macs   func(port int) (from, to []vswitch.MAC) // the most likely ones first
	ips    func(port int) (from, to []netip.Addr)
	ips6   func(port int) (from, to []netip.Addr) // nil: none are useful
	holder []vswitch.MAC
	scan   func(what, n, first int) (port int, frames []vswitch.Frame)
}

// pauses are the timeouts of neighbours, ageing and the record of use, and times just before and after.
var pauses = []time.Duration{
	time.Millisecond, 99 * time.Millisecond, 100 * time.Millisecond, 999 * time.Millisecond, time.Second, 1001 * time.Millisecond,
	29 * time.Second, 30*time.Second - 1, 30 * time.Second, 59 * time.Second, time.Minute - 1, time.Minute, 300*time.Second - 1,
	300 * time.Second, time.Hour,
}

// decode reads the steps of an input.
func decode(r *reader, w world) (steps []step) {
	work, joined := 0, false
	for len(steps) < maxSteps && work < maxWork && !r.done() {
		s := step{op: r.byte() % ops}
		switch s.op {
		case opRaw:
			join := joined
			s.port, s.frames, joined = raw(r, w)
			if last := len(steps) - 1; join && last >= 0 && steps[last].op == opRaw && steps[last].port == s.port {
				s.frames = append(steps[last].frames, s.frames...)
				steps = steps[:last]
			}
		case opMade:
			s.port = r.byte() % w.ports
			s.frames = []vswitch.Frame{makeFrame(r, w, s.port)}
		case opWait:
			s.wait = time.Duration(r.number()) * time.Millisecond
		case opPause:
			s.wait = choose(r, pauses...)
		case opHand:
			s.holder = vswitch.Holder(r.byte() % 3)
			s.mac = r.mac(w.holder...)
		case opScan:
			what, n := r.byte(), r.byte()
			s.port, s.frames = w.scan(what, n, r.word())
		case opStatic:
			s.port = r.byte()%(w.ports+1) - 1
			from, _ := w.macs(0)
			s.mac = r.mac(from...)
		case opForget:
			s.port = r.byte() % w.ports
		}
		for _, f := range s.frames {
			work += frameWork + len(f.Data)
		}
		steps = append(steps, s)
	}
	return steps
}

// raw reads an explicit frame and its number of repetitions, at most a batch.
func raw(r *reader, w world) (port int, frames []vswitch.Frame, joined bool) {
	choice, times := r.byte(), r.byte()
	port = choice % asWritten % w.ports
	joined = times >= joinNext
	times = max(1, times%joinNext%(vswitch.BatchSize+1))
	h, given, total := r.header(), r.word(), r.word()
	data := r.bytes(min(given, len(r.left)))
	if len(data) < total {
		data = append(data, counting[len(data):total]...)
	}
	if choice < asWritten {
		putHeaderSum(data)
	}
	for range times {
		frames = append(frames, vswitch.Frame{Offload: h, Data: slices.Clip(data)})
	}
	return port, frames, joined
}

// counting has the bytes 0 to 255 repeatedly.
var counting = func() (b []byte) {
	for n := range 1 << 16 {
		b = append(b, byte(n))
	}
	return b
}()

// Methods that write steps.

// raw writes a frame. A payload of zeros is replaced by one that counts up, except for its beginning, which keeps the seed short.
func (w *writer) raw(port, times int, f vswitch.Frame) {
	given := len(bytes.TrimRight(f.Data, "\x00"))
	if given += 16; given > len(f.Data) {
		for given = len(f.Data); given > 0 && f.Data[given-1] == byte(given-1); {
			given--
		}
	}
	w.byte(opRaw, port, times)
	w.header(f.Offload)
	w.word(given)
	w.word(len(f.Data))
	w.b = append(w.b, f.Data[:given]...)
}

func (w *writer) wait(d time.Duration) {
	w.byte(opWait)
	w.number(int(d / time.Millisecond))
}

func (w *writer) tick() { w.byte(opTick) }

func (w *writer) hand(h vswitch.Holder, mac vswitch.MAC) {
	w.byte(opHand, int(h), 0xff)
	w.b = append(w.b, mac[:]...)
}

func (w *writer) scan(what, n, first int) {
	w.byte(opScan, what, n)
	w.word(first)
}

func (w *writer) static(port int, mac vswitch.MAC) {
	w.byte(opStatic, port+1, 0xff)
	w.b = append(w.b, mac[:]...)
}

func (w *writer) forget(port int) { w.byte(opForget, port) }

// none is the zero offload header.
var none = vnet.Header{}

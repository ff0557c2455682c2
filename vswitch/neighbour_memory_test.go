package vswitch

import (
	"runtime"
	"testing"
)

// heapOf returns how many bytes the heap has more than before, after fill.
func heapOf(fill func()) int64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	fill()
	runtime.GC()
	runtime.ReadMemStats(&after)
	return int64(after.HeapAlloc) - int64(before.HeapAlloc)
}

// Frames that wait use the memory that their cost says, even if each of them made a large frame leave, whose memory it could keep.
func TestHostileNeighbourMemory(t *testing.T) {
	out := NewOut(delegatePorts, new(Counters))
	n := newNeighbours(false, ip4(1), MAC{2}, nil, nil)
	large, small := &Frame{Data: make([]byte, MaxFrame)}, &Frame{Data: make([]byte, 60)}
	got := heapOf(func() {
		for ip := uint32(0x0a000001); ip < 0x0a000001+4; ip++ {
			for range 400 {
				n.resolve(PortGuest, ip4(ip), large, 0, out)
				for q := n.questions[ip4(ip)]; len(q.frames[0].Data) < MaxFrame; {
					n.resolve(PortGuest, ip4(ip), small, 0, out)
				}
				n.resolve(PortGuest, ip4(ip), small, 0, out)
			}
		}
		out.Flush(discard)
	})
	if want := int64(n.heldBytes + n.heldBytes/4); got > want {
		t.Errorf("frames of a cost of %d bytes use %d bytes, want at most %d", n.heldBytes, got, want)
	}
	runtime.KeepAlive(n)
}

// A frame that leaves a question leaves no memory for its place.
func TestHeldFramePlaces(t *testing.T) {
	n := newNeighbours(false, ip4(1), MAC{2}, nil, nil)
	questions := make([]question, questionLimit)
	data := make([]byte, 60)
	got := heapOf(func() {
		for i := range questions {
			q := &questions[i]
			for range heldQueueLimit / costOf(data) {
				q.add(n, heldFrame{Frame: Frame{Data: data}})
			}
			for len(q.frames) > 1 {
				q.removeOldest(n)
			}
		}
	})
	if want := int64(heldByteLimit / 4); got > want {
		t.Errorf("%d questions with a frame each use %d bytes besides the frames, want at most %d", len(questions), got, want)
	}
	runtime.KeepAlive(questions)
}

// Frames of one size that make room for each other use the same memory again.
func TestHeldFrameMemoryAgain(t *testing.T) {
	for _, size := range []int{60, 590, 1514, MaxFrame} {
		b := append([]byte(nil), make([]byte, size)...)
		if !isMemoryFor(b, size) {
			t.Errorf("%d bytes of memory are not used again for a frame of %d bytes", cap(b), size)
		}
	}
}

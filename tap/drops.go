package tap

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"

	"github.com/podswitch/podswitch/vswitch"
)

// A tap has a queue of its own, towards its user side. Frames that do not fit are counted by the device alone, as dropped by its transmitter: for the user
// side of a tap they are frames that this process did not read in time, and for a packet socket on the kernel side frames that the
// hypervisor did not read in time, and which the kernel had accepted before.

// LinkDrops reads the counters of dropped frames of a network namespace's devices (proc(5), /proc/net/dev). Its methods may be called concurrently.
type LinkDrops struct{ file *os.File }

// OpenLinkDrops opens the counters of the calling thread's network namespace. A process that may open no files later calls it before.
func OpenLinkDrops() (*LinkDrops, error) {
	file, err := os.Open("/proc/thread-self/net/dev")
	if err != nil {
		return nil, fmt.Errorf("open the counters of devices: %w", err)
	}
	return &LinkDrops{file}, nil
}

// Close closes the counters. Ports that use them may still be in use.
func (l *LinkDrops) Close() error { return l.file.Close() }

// transmit returns how many frames the transmitter of a device has dropped.
func (l *LinkDrops) transmit(device string) (uint64, bool) {
	text, err := io.ReadAll(io.NewSectionReader(l.file, 0, 1<<24))
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, false
	}
	return findTransmitDrops(text, device)
}

// findTransmitDrops returns the field "drop" under "Transmit" in the line of a device. Eight fields of received frames come before bytes, packets, errs
// and drop of transmitted ones.
func findTransmitDrops(text []byte, device string) (uint64, bool) {
	for line := range bytes.Lines(text) {
		name, values, found := bytes.Cut(line, []byte(":"))
		if !found || string(bytes.TrimSpace(name)) != device {
			continue
		}
		fields := bytes.Fields(values)
		if len(fields) < 12 {
			return 0, false
		}
		n, err := strconv.ParseUint(string(fields[11]), 10, 64)
		return n, err == nil
	}
	return 0, false
}

// A dropCollector adds the drops of a device to the counters of its port. The nil dropCollector adds nothing.
type dropCollector struct {
	drops  *LinkDrops
	device string
	reason vswitch.Reason

	mu   sync.Mutex // guards the following
	seen uint64     // drops that are counted, or were there before
}

// newDropCollector returns a collector for a device, or nil if there are no counters, or the device is in another network namespace.
func newDropCollector(d *Device) *dropCollector {
	if d.Drops == nil || d.Link == "" {
		return nil
	}
	c := &dropCollector{drops: d.Drops, device: d.Link, reason: vswitch.PortFull}
	if d.Kind == KindTap {
		c.reason = vswitch.ReceiveFull
	}
	c.seen, _ = c.drops.transmit(c.device)
	return c
}

// collect adds the drops since the last call.
func (c *dropCollector) collect(counters *vswitch.Counters) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n, ok := c.drops.transmit(c.device)
	if !ok {
		return // the device is gone, or has no name here
	}
	if n > c.seen {
		counters.Drop(c.reason, int(n-c.seen))
	}
	c.seen = n
}

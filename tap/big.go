package tap

import (
	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// Some network plugins let the node's kernels pass TCP packets above 64 KiB between devices (BIG TCP: Cilium's enableIPv4BIGTCP, for example). A packet
// socket receives them whole, but neither a guest nor another device takes them. How a port gets them:
//
//  1. The first such frame does not fit into its receive buffer and is lost as truncated; TCP sends it again.
//  2. expectBig lets the port receive into larger buffers, fewer frames at once. It goes back after a time without such a frame, because that many
//     bytes do not stay in the processor's cache.
//  3. divide makes frames to segment of 64 KiB of each (vnet.Divide), in the buffers that are not in use then.
const (
	bigRoom     = 1<<19 + 1<<10 // bytes: the kernel's largest packet (GSO_MAX_SIZE, linux/netdevice.h) with headers and tags
	bigAtOnce   = 3             // frames: their parts fit into one batch if they are nine of each, as with a GSOSize of a usual MTU
	bigLastsFor = 1 << 10       // batches without a large frame until the port goes back
)

// largestFrame is the length in bytes above which a frame is looked at. With a VLAN tag it may be four bytes longer and still be no large one.
const largestFrame = vnet.MaxPart - 2*vlanRoom

// bigFrames is what a port needs to receive frames above 64 KiB. It belongs to the goroutine that receives.
type bigFrames struct {
	small, large *messages // large: nil until there was a large frame
	left         int       // batches to receive into large
	used         int       // buffers of small that hold parts of the present batch
}

// useMessages selects the receive buffers for the next batch, and returns how many frames they take.
func (p *packetPort) useMessages() int {
	p.big.used = 0
	if p.big.left == 0 {
		p.rx = p.big.small
		return vswitch.BatchSize
	}
	p.big.left--
	if p.big.large == nil {
		p.big.large = newMessagesOf(bigAtOnce, bigRoom, vlanRoom+bigRoom)
	}
	p.rx = p.big.large
	return bigAtOnce
}

// expectBig makes the port receive large frames, if seen reports that there was one.
func (p *packetPort) expectBig(seen bool) {
	if seen {
		p.big.left = bigLastsFor
	}
}

// divide fills in batch with the parts of a large frame, and returns their number.
func (p *packetPort) divide(h vnet.Header, data []byte, batch []vswitch.Frame) (n int) {
	parts, ok := vnet.Divide(h, data)
	if !ok && len(data) <= vswitch.MaxFrame {
		batch[0] = vswitch.Frame{Offload: h, Data: data}
		return 1
	}
	p.expectBig(true)
	if !ok || p.rx != p.big.large {
		p.counters.Drop(vswitch.Truncated, 1)
		return 0
	}
	for ; n < len(batch) && p.big.used < vswitch.BatchSize; n++ {
		start := p.big.used * slotLen
		room := p.big.small.slots[start : start+vnet.MaxPart : start+slotLen]
		h, length := parts.Next(room)
		if length == 0 {
			return n
		}
		batch[n] = vswitch.Frame{Offload: h, Data: room[:length]}
		p.big.used++
	}
	if _, length := parts.Next(make([]byte, vnet.MaxPart)); length > 0 {
		p.counters.Drop(vswitch.Truncated, 1) // the sender's GSOSize leaves parts of little more than 32 KiB, or the batch is short
	}
	return n
}

package vswitch_test

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
	"github.com/podswitch/podswitch/vswitch/vswitchtest"
)

// A learning switch between three ports in memory. The first frame is flooded; the answer goes to one port only.
func Example() {
	ports := []*vswitchtest.Port{vswitchtest.NewPort(8), vswitchtest.NewPort(8), vswitchtest.NewPort(8)}
	bridge := vswitch.NewBridge(vswitch.BridgeConfig{Ports: 3})
	start := time.Now()
	clock := func() time.Duration { return time.Since(start) }
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- vswitch.New(bridge, clock, ports[0], ports[1], ports[2]).Run(ctx) }()

	one, two := vswitch.MAC{2, 0, 0, 0, 0, 1}, vswitch.MAC{2, 0, 0, 0, 0, 2}
	ports[0].Inject(ethernetFrame(two, one, "question"))
	for _, port := range []int{1, 2} {
		f, _ := ports[port].Next(ctx)
		fmt.Printf("port %d: %s\n", port, f.Data[14:])
	}
	ports[1].Inject(ethernetFrame(one, two, "answer"))
	f, _ := ports[0].Next(ctx)
	fmt.Printf("port 0: %s\n", f.Data[14:])

	stop()
	fmt.Println("error:", <-done)
	for _, station := range bridge.Stations(clock()) {
		fmt.Println(station.MAC, "at port", station.Port)
	}
	fmt.Println("port 2 sent", ports[2].Counters().TxFrames.Load())
	// Output:
	// port 1: question
	// port 2: question
	// port 0: answer
	// error: <nil>
	// 02:00:00:00:00:01 at port 0
	// 02:00:00:00:00:02 at port 1
	// port 2 sent 1
}

// ethernetFrame returns a frame with an ethertype for local experiments (IEEE 802, section 9.2.4).
func ethernetFrame(to, from vswitch.MAC, text string) vswitch.Frame {
	data := append(append(to[:], from[:]...), 0x88, 0xb5)
	return vswitch.Frame{Data: append(data, text...)}
}

// A forwarder without a Switch: NewOut collects what it decides about one batch.
func ExampleDelegate() {
	guest := vswitch.MAC{2, 0, 0, 0, 0, 1}
	delegate := vswitch.NewDelegate(vswitch.DelegateConfig{
		WireMAC:   vswitch.MAC{2, 0, 0, 0, 0, 7},
		RouterMAC: vswitch.MAC{2, 0, 0, 0, 0, 0xfe},
		Address:   netip.MustParsePrefix("10.244.1.7/24"),
		Server:    netip.MustParseAddr("169.254.75.1"),
		MTU:       1450, GuestMTU: 1450,
		Routes: []vswitch.Route{{Destination: netip.MustParsePrefix("0.0.0.0/0"), Gateway: netip.MustParseAddr("10.244.1.1")}},
	})
	delegate.IPv4.SetHolder(vswitch.HolderGuest, guest)

	// An ARP request of the guest for its gateway.
	request := []byte("\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01\x08\x06" +
		"\x00\x01\x08\x00\x06\x04\x00\x01\x02\x00\x00\x00\x00\x01\x0a\xf4\x01\x07\x00\x00\x00\x00\x00\x00\x0a\xf4\x01\x01")
	counters := new(vswitch.Counters)
	out := vswitch.NewOut(4, counters)
	delegate.Forward(vswitch.PortGuest, []vswitch.Frame{{Data: request}}, time.Second, out)
	out.Flush(func(port int, frames []vswitch.Frame) {
		for _, f := range frames {
			fmt.Printf("port %d: ARP reply, 10.244.1.1 is at %v\n", port, vswitch.MAC(f.Data[22:28]))
		}
	})

	// A frame with an offload header that does not fit it.
	bad := vswitch.Frame{Offload: vnet.Header{Flags: vnet.FlagNeedsChecksum, CsumStart: 2000}, Data: request}
	delegate.Forward(vswitch.PortGuest, []vswitch.Frame{bad}, time.Second, out)
	fmt.Println("drops:", counters.Drops())
	// Output:
	// port 0: ARP reply, 10.244.1.1 is at 02:00:00:00:00:fe
	// drops: map[bad-offload:1]
}

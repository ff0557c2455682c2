package tap_test

import (
	"context"
	"log"
	"time"

	"github.com/podswitch/podswitch/tap"
	"github.com/podswitch/podswitch/vswitch"
)

// A learning switch between a tap and an Ethernet device. It needs CAP_NET_ADMIN to create the tap (not for a persistent tap that
// belongs to the user: ip tuntap add mode tap user UID name tap0), and CAP_NET_RAW for the packet socket. It has no Output, so that
// go test compiles it and does not run it.
func Example() {
	var ports [2]vswitch.Port
	for i, spec := range []tap.Spec{{Kind: tap.KindTap, Name: "tap0"}, {Kind: tap.KindPacket, Name: "eth0"}} {
		device, err := tap.OpenDevice(spec, tap.Options{Offload: true})
		if err != nil {
			log.Fatal(err) // a *missing.Error names the missing privilege or device
		}
		if ports[i], err = device.Port(new(vswitch.Counters)); err != nil {
			log.Fatal(err)
		}
		defer ports[i].Close()
	}
	bridge := vswitch.NewBridge(vswitch.BridgeConfig{Ports: len(ports), Ageing: 5 * time.Minute, Limit: 1024, Upstream: 1})
	start := time.Now()
	clock := func() time.Duration { return time.Since(start) }
	if err := vswitch.New(bridge, clock, ports[:]...).Run(context.Background()); err != nil {
		log.Fatal(err) // a device was lost
	}
}

// A port that waits for its device and comes back after the device was lost.
func ExampleNewReattaching() {
	counters := new(vswitch.Counters)
	port := tap.NewReattaching(nil, counters, tap.Reattach{
		Reopen: func(ctx context.Context) (vswitch.Port, error) {
			// A program that outlives its device waits here, until ctx is done, for the device to exist.
			device, err := tap.OpenDevice(tap.Spec{Kind: tap.KindPacket, Name: "eth0"}, tap.Options{Offload: true})
			if err != nil {
				return nil, err
			}
			return device.Port(counters)
		},
		Lost: func(cause error) { log.Print("eth0 was lost: ", cause) },
		Back: func() { log.Print("eth0 is back") },
	})
	defer port.Close()
}

package unixport_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/unixport"
	"github.com/podswitch/podswitch/vswitch"
)

// A learning switch between two unix sockets: a datagram that a station sends into one side comes out of the other. It needs no
// privilege. The far ends of the socketpairs stand for two hypervisors.
func Example() {
	var ports [2]vswitch.Port
	var stations [2]*os.File
	for i := range ports {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
		if err != nil {
			log.Fatal(err)
		}
		socket, err := unixport.Inherit(pair[0])
		if err != nil {
			log.Fatal(err)
		}
		if ports[i], err = socket.Port(new(vswitch.Counters), unixport.Options{}); err != nil {
			log.Fatal(err)
		}
		defer ports[i].Close()
		stations[i] = os.NewFile(uintptr(pair[1]), "station")
		defer stations[i].Close()
	}
	bridge := vswitch.NewBridge(vswitch.BridgeConfig{Ports: len(ports)})
	start := time.Now()
	s := vswitch.New(bridge, func() time.Duration { return time.Since(start) }, ports[:]...)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()

	frame := append([]byte("\xff\xff\xff\xff\xff\xff"+"\x02\x00\x00\x00\x00\x01"+"\x88\xb5"), "hello, station 2"...)
	if _, err := stations[0].Write(frame); err != nil {
		log.Fatal(err)
	}
	received := make([]byte, vswitch.MaxFrame)
	n, err := stations[1].Read(received)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("from % x: %s\n", received[6:12], received[14:n])
	stop()
	fmt.Println("ended:", <-ended)
	// Output:
	// from 02 00 00 00 00 01: hello, station 2
	// ended: <nil>
}

package replay_test

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"github.com/podswitch/podswitch/replay"
	"github.com/podswitch/podswitch/vswitch"
)

// A capture is written, read again, and replayed through a learning switch. The destination of the last frame is known to be at the
// port where it enters.
func Example() {
	one, two := vswitch.MAC{2, 0, 0, 0, 0, 1}, vswitch.MAC{2, 0, 0, 0, 0, 2}
	setup := replay.Setup{Bridge: &vswitch.BridgeConfig{Ports: 2, Ageing: time.Minute, Limit: 16, Upstream: -1}}
	frame := func(to, from vswitch.MAC, ethertype uint16) vswitch.Frame {
		data := append(append(to[:], from[:]...), byte(ethertype>>8), byte(ethertype))
		return vswitch.Frame{Data: append(data, make([]byte, 46)...)}
	}
	var file bytes.Buffer
	err := replay.Write(&file, setup, []replay.Packet{
		{Port: "guest", Time: replay.At(0), Frame: frame(two, one, 0x88b5)},
		{Port: "uplink", Time: replay.At(time.Second), Frame: frame(one, two, 0x88b5)},
		{Port: "uplink", Time: replay.At(2 * time.Second), Frame: frame(two, one, 0x88b5)},
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	reader, err := replay.NewReader(&file)
	if err != nil {
		fmt.Println(err)
		return
	}
	player, err := replay.NewPlayer(replay.Options{Setup: *reader.Setup(), Exact: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	for {
		packet, err := reader.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, record := range player.Play(&packet) {
			fmt.Printf("%d: %s from %s, %s", record.Number, record.Frame.Text, record.In, record.Outcome)
			for _, out := range record.Out {
				fmt.Printf(" to %s", out.Port)
			}
			fmt.Println()
		}
	}
	fmt.Println(player.Summary())
	// Output:
	// 1: ethertype 0x88b5 from guest, sent to uplink
	// 2: ethertype 0x88b5 from uplink, sent to guest
	// 3: ethertype 0x88b5 from uplink, dropped
	// 3 frames: 2 sent, 1 dropped, 0 held, 0 noted, 0 skipped
	// drops: hairpin=1
}

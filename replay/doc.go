// Package replay sends the frames of a capture through a vswitch forwarder, without devices, and reports what happens to each.
//
//	reader, err := replay.NewReader(file)
//	…
//	player, err := replay.NewPlayer(replay.Options{Setup: replay.Setup{Bridge: &config}})
//	…
//	for {
//		packet, err := reader.Next()
//		if err == io.EOF {
//			break
//		}
//		…
//		for _, record := range player.Play(&packet) {
//			fmt.Println(record)
//		}
//	}
//	fmt.Println(player.Summary())
//
// A Reader reads pcapng and pcap files with Ethernet frames. Write writes pcapng files with additional information in comments:
//
//   - the comment of the section has the configuration of the switch (Setup)
//   - the comment of a packet has the offload header of its frame
//   - empty packets on an interface of their own have an event that is not a frame (Event)
//
// A Player uses the time stamps of the packets as the clock of the switch. It has no network stack: records show the frames
// that an endpoint of a Delegate would receive, and its answers are missing unless the capture has them.
package replay

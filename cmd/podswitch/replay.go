package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/podswitch/podswitch/replay"
)

const replayLong = `Send a capture through a switch without devices, and print what happens to each frame.

FILE is a pcapng or pcap file of link type Ethernet; - is standard input.

The switch is that of a plan (--plan), a plain bridge (--bridge), or one in IP mode (--address and the flags that need it). A
capture that a fuzz test has written contains its own switch and needs no flags.

The port at which a frame enters is the one of --in. Without --in, it is the port whose name the capture's interface has (guest,
uplink, pod, server). Otherwise the source MAC decides: frames of the guest enter at guest, frames of the router MAC are skipped as
the switch's own, and all others enter at uplink. Thus a capture of the pod's eth0 shows what a guest in the pod would receive.

The time stamps of the capture are the clock of the switch, which ticks once a second. replay prints what the pod's and the server's
endpoints would receive, but not their answers. It skips frames that the capture has truncated. A capture of a device with
offloads contains TCP frames that are larger than the MTU, without their offload headers: replay drops them as too big, while a
real switch would not. Capture with offloads disabled, or at the other end of the link.

Each line contains: number, time in seconds, port, source > destination MAC, summary, -> output port (as SOURCE > DESTINATION: with
these MACs), "drop" with its reason, "held" (waits for the MAC of its next hop) or "noted". Lines without a number are ticks. With
-o json each line is an object with the fields number, seconds, event, in, frame, outcome (sent, dropped, held, noted, skipped),
out, drops, late and note; the last object is the summary.`

const replayExample = `  # What would the guest of this plan have received?
  podswitch plan -o json > plan.json
  podswitch replay --plan plan.json capture.pcapng
  # A switch in IP mode
  podswitch replay --address 10.244.1.7/24 --address fd00:10:244:1::7/64 --guest-mac 52:54:00:12:34:56 tap0.pcap
  # A learning switch
  podswitch replay --bridge --in guest tap0.pcap`

func replayCommand() *cobra.Command {
	var flags replayFlags
	c := &cobra.Command{
		Use:     "replay FILE",
		Short:   "Send a capture through a switch without devices and print what happens to each frame",
		Long:    replayLong,
		Example: replayExample,
		Args:    exactly("FILE"),
	}
	flags.add(c)
	output := addOutput(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		options, err := flags.options(c)
		if err != nil {
			return usageError{err}
		}
		in, err := openCapture(args[0], c.InOrStdin())
		if err != nil {
			return usageError{fmt.Errorf("read the capture: %w", err)}
		}
		defer in.Close()
		w := bufio.NewWriter(printableWriter{c.OutOrStdout()})
		p := printer{w: w, json: output.value == "json"}
		if err = p.play(in, options); err != nil {
			err = usageError{fmt.Errorf("replay %s: %w", args[0], err)}
		}
		if failed := w.Flush(); failed != nil { // stdout is closed
			return failed
		}
		return err
	}
	return c
}

func openCapture(name string, stdin io.Reader) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(stdin), nil
	}
	return os.Open(name)
}

// A printer replays a capture and prints the records.
type printer struct {
	w    io.Writer
	json bool
}

// play replays a capture. On an error it prints the frames before it, and the summary.
func (p *printer) play(in io.Reader, options *replay.Options) error {
	capture, err := replay.NewReader(in)
	if err != nil {
		return err
	}
	if setup := capture.Setup(); setup != nil {
		options.Exact = true // the capture contains its ticks
		if options.Setup == (replay.Setup{}) {
			options.Setup = *setup
		}
	}
	if options.Setup == (replay.Setup{}) {
		return fmt.Errorf("the capture does not describe a switch: want --plan FILE, --address CIDR or --bridge")
	}
	player, err := replay.NewPlayer(*options)
	if err != nil {
		return err
	}
	for {
		packet, err := capture.Next()
		if err != nil {
			p.end(player)
			if err == io.EOF {
				err = nil
			}
			return err
		}
		p.print(player.Play(&packet))
	}
}

func (p *printer) print(records []*replay.Record) {
	for _, r := range records {
		p.line(r, r)
	}
}

func (p *printer) end(player *replay.Player) {
	p.print(player.Finish())
	s := player.Summary()
	p.line(s, map[string]*replay.Summary{"summary": s})
}

// line prints the text, or the object with -o json. An error of the writer appears at Flush.
func (p *printer) line(text fmt.Stringer, object any) {
	if p.json {
		encoder := json.NewEncoder(p.w)
		encoder.SetEscapeHTML(false)
		_ = encoder.Encode(object)
		return
	}
	fmt.Fprintln(p.w, text)
}

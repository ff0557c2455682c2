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

const replayLong = `Send a capture through a switch that has no devices, and print what happens to each frame.

FILE is pcapng or pcap with link type Ethernet; - is standard input. Which port a frame enters at: where --in says; else, if
the capture's interface has the name of a port (guest, uplink, pod, server), there; else as its source MAC says: the
guest's enter at guest, the router MAC's are a switch's own and are skipped, all others enter at uplink. So a capture of
the pod's eth0 shows what a guest in the pod's place would see.

The switch is that of a plan (--plan), a plain bridge (--bridge), or one in IP mode that is made of --address and the flags
beside it. A capture of a fuzz finding brings its own, with its ticks and holders, and needs no flags.

The time stamps are the switch's clock, and it ticks once a second. What would reach the pod's and the server's
endpoints is shown; what they would answer is not made. Frames that the capture cut off are skipped. A capture on a device
with offloads has TCP frames larger than the wire's, and not what is left to do for them: they are dropped as too big here, and
not in a real switch. Capture with offloads off, or at the other end.

A line is: number, seconds, port, source > destination MAC, what it is, -> what left where (as SOURCE > DESTINATION: with
these MACs), drop and its reason, held (it waits for its next hop) or noted. Lines without a number are ticks. With -o json each
line is an object: number, seconds, event, in, frame, outcome (sent, dropped, held, noted, skipped), out, drops, late, note;
the last one has the summary.`

const replayExample = `  podswitch plan -o json > plan.json
  podswitch replay --plan plan.json capture.pcapng
  podswitch replay --address 10.244.1.7/24 --guest-mac 52:54:00:12:34:56 tap0.pcap
  podswitch replay --bridge --in guest tap0.pcap`

func replayCommand() *cobra.Command {
	var flags replayFlags
	c := &cobra.Command{
		Use:     "replay FILE",
		Short:   "Send a capture through a switch without devices, and print what happens to each frame",
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
			return usageError{fmt.Errorf("capture: %w", err)}
		}
		defer in.Close()
		w := bufio.NewWriter(c.OutOrStdout())
		p := printer{w: w, json: output.value == "json"}
		if err = p.play(in, options); err != nil {
			err = usageError{fmt.Errorf("capture %s: %w", args[0], err)}
		}
		if failed := w.Flush(); failed != nil { // nobody reads on
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

// A printer plays a capture and prints the records.
type printer struct {
	w    io.Writer
	json bool
}

// play prints what was read up to an error, too.
func (p *printer) play(in io.Reader, options *replay.Options) error {
	capture, err := replay.NewReader(in)
	if err != nil {
		return err
	}
	if setup := capture.Setup(); setup != nil {
		options.Exact = true // it has its ticks
		if options.Setup == (replay.Setup{}) {
			options.Setup = *setup
		}
	}
	if options.Setup == (replay.Setup{}) {
		return fmt.Errorf("it does not say which switch it was: give --plan FILE, --address CIDR or --bridge")
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

// line prints a text, or an object. That nobody reads is seen at the end.
func (p *printer) line(text fmt.Stringer, object any) {
	if p.json {
		encoder := json.NewEncoder(p.w)
		encoder.SetEscapeHTML(false)
		_ = encoder.Encode(object)
		return
	}
	fmt.Fprintln(p.w, text)
}

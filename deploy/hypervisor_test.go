package deploy_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

// What the guest of the test sends: who has 10.244.1.1? (RFC 826), from a MAC of its own.
const question = "\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01\x08\x06" +
	"\x00\x01\x08\x00\x06\x04\x00\x01\x02\x00\x00\x00\x00\x01\x0a\xf4\x01\x07\x00\x00\x00\x00\x00\x00\x0a\xf4\x01\x01"

// answered is what it says when there was an answer.
const answered = "the guest has an answer"

// hypervise plays QEMU with -netdev stream: it connects, asks for the gateway's MAC until there is an answer, and stays until it
// is asked to end. It does not connect again.
func hypervise(socket string) error {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM)
	defer stop()
	c, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	defer c.Close()
	text := binary.BigEndian.AppendUint32(nil, uint32(len(question)))
	if _, err := c.Write(append(text, question...)); err != nil {
		return err
	}
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	for {
		frame, err := readFrame(c)
		if err != nil {
			return fmt.Errorf("wait for an answer: %w", err)
		}
		if bytes.Equal(frame[12:14], []byte{8, 6}) && frame[21] == 2 {
			break
		}
	}
	fmt.Fprintln(os.Stderr, answered)
	<-ctx.Done()
	return nil
}

// readFrame reads one frame behind its length, as QEMU has it.
func readFrame(r io.Reader) ([]byte, error) {
	var length uint32
	if err := binary.Read(r, binary.BigEndian, &length); err != nil {
		return nil, err
	}
	frame := make([]byte, length)
	if _, err := io.ReadFull(r, frame); err != nil {
		return nil, err
	}
	if length < 42 {
		return nil, fmt.Errorf("a frame of %d bytes: want one of 42 at least", length)
	}
	return frame, nil
}

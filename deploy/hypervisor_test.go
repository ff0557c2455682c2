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

// arpRequest is the frame that the guest of the test sends: an ARP request for 10.244.1.1 (RFC 826).
const arpRequest = "\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01\x08\x06" +
	"\x00\x01\x08\x00\x06\x04\x00\x01\x02\x00\x00\x00\x00\x01\x0a\xf4\x01\x07\x00\x00\x00\x00\x00\x00\x0a\xf4\x01\x01"

// answered is the message of the guest after it has received the reply.
const answered = "the guest has an answer"

// hypervise implements QEMU's -netdev stream: it connects, sends an ARP request, waits for the reply, and stays connected until SIGTERM. It
// does not reconnect.
func hypervise(socket string) error {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM)
	defer stop()
	c, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	defer c.Close()
	text := binary.BigEndian.AppendUint32(nil, uint32(len(arpRequest)))
	if _, err := c.Write(append(text, arpRequest...)); err != nil {
		return err
	}
	if err := c.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	for {
		frame, err := readFrame(c)
		if err != nil {
			return fmt.Errorf("wait for the ARP reply: %w", err)
		}
		if bytes.Equal(frame[12:14], []byte{8, 6}) && frame[21] == 2 {
			break
		}
	}
	fmt.Fprintln(os.Stderr, answered)
	<-ctx.Done()
	return nil
}

// readFrame reads a length of 4 bytes and the frame after it. A frame that is too short for ARP is an error.
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
		return nil, fmt.Errorf("a frame of %d bytes: want at least 42", length)
	}
	return frame, nil
}

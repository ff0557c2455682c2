package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"net"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/descriptor"
)

// Roles that send traffic until a test ends them, and report the result.

// pour sends to a sink until SIGTERM, and prints the numbers of bytes and of retransmitted segments: pour ADDRESS SEED.
func pour(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	seed, err := strconv.ParseUint(args[1], 10, 64)
	if err != nil {
		return err
	}
	c, err := net.DialTimeout("tcp", args[0], 10*time.Second)
	if err != nil {
		return err
	}
	conn := c.(*net.TCPConn)
	defer conn.Close()
	fmt.Println("pouring")
	sum, p, total := sha256.New(), newPattern(seed), 0
	for i := uint64(0); ctx.Err() == nil; i++ {
		block := p.next(i)
		sum.Write(block)
		if _, err := conn.Write(block); err != nil {
			return fmt.Errorf("after %d bytes: %w", total, err)
		}
		total += len(block)
	}
	if err := conn.CloseWrite(); err != nil {
		return err
	}
	answer, err := io.ReadAll(conn) // the sink's SHA-256 of the stream
	if mine := hex.EncodeToString(sum.Sum(nil)); err != nil || string(answer) != mine {
		return fmt.Errorf("sent %s, arrived %q: %w", mine, answer, err)
	}
	again, err := retransmitted(conn)
	fmt.Printf("poured bytes=%d again=%d\n", total, again)
	return err
}

// retransmitted returns the number of retransmitted segments of a connection (struct tcp_info, tcp(7)).
func retransmitted(conn *net.TCPConn) (n uint32, err error) {
	info, err := descriptor.Borrow(conn, func(fd int) (*unix.TCPInfo, error) {
		return unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	})
	if err != nil {
		return 0, err
	}
	return info.Total_retrans, nil
}

// A counted datagram has its number and its time of sending in nanoseconds since 1970, both as 8 bytes in big-endian order, and padding. A
// datagram with lastNumber has the number of datagrams instead of the time.
const (
	countedSize = 200 // bytes
	lastNumber  = math.MaxUint64
)

// sendUDP sends RATE counted datagrams a second until SIGTERM: send-udp ADDRESS RATE. After a time without the processor it sends the
// datagrams of 10 ms at once and skips the others, which would overflow a queue on the way.
func sendUDP(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	rate, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	conn, err := net.Dial("udp", args[0])
	if err != nil {
		return err
	}
	defer conn.Close()
	fmt.Println("sending")
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	packet, next, started := make([]byte, countedSize), uint64(0), time.Now()
	var skipped uint64
	for ; ctx.Err() == nil; <-ticker.C {
		due := uint64(time.Since(started).Seconds()*float64(rate)) - skipped
		if most := next + uint64(rate/100); due > most {
			due, skipped = most, skipped+due-most
		}
		for ; next < due; next++ {
			binary.BigEndian.PutUint64(packet, next)
			binary.BigEndian.PutUint64(packet[8:], uint64(time.Now().UnixNano()))
			if _, err := conn.Write(packet); err != nil {
				return err
			}
		}
	}
	return sendTotal(conn, packet, next)
}

// sendTotal sends the number of datagrams several times, because a datagram may be lost.
func sendTotal(conn net.Conn, packet []byte, total uint64) error {
	binary.BigEndian.PutUint64(packet, lastNumber)
	binary.BigEndian.PutUint64(packet[8:], total)
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for range 25 {
		<-ticker.C
		if _, err := conn.Write(packet); err != nil {
			return nil // the receiver has got the total and has ended
		}
	}
	return nil
}

// countUDP receives the datagrams of one sendUDP and prints how many were lost, duplicated and reordered: count-udp ADDRESS.
func countUDP(args []string) error {
	socket, err := net.ListenPacket("udp", args[0])
	if err != nil {
		return err
	}
	if err := socket.(*net.UDPConn).SetReadBuffer(8 << 20); err != nil {
		return err
	}
	fmt.Println("listening")
	var (
		c      count
		packet = make([]byte, 1<<11)
	)
	for {
		n, _, err := socket.ReadFrom(packet)
		if err != nil {
			return err
		}
		if n != countedSize {
			return fmt.Errorf("a datagram of %d bytes, want %d", n, countedSize)
		}
		number, second := binary.BigEndian.Uint64(packet), binary.BigEndian.Uint64(packet[8:])
		if number == lastNumber {
			c.print(second)
			return nil
		}
		c.add(number, time.Since(time.Unix(0, int64(second))))
	}
}

// A count has statistics of counted datagrams.
type count struct {
	seen                []bool
	unique, again, late uint64
	delay               time.Duration // the longest
}

func (c *count) add(number uint64, delay time.Duration) {
	c.delay = max(c.delay, delay)
	for uint64(len(c.seen)) <= number {
		c.seen = append(c.seen, false)
	}
	switch {
	case c.seen[number]:
		c.again++
		return
	case number+1 < uint64(len(c.seen)):
		c.late++
	}
	c.seen[number], c.unique = true, c.unique+1
}

func (c *count) print(total uint64) {
	fmt.Printf("counted sent=%d lost=%d twice=%d late=%d delay=%s\n", total, total-c.unique, c.again, c.late, c.delay.Round(100*time.Microsecond))
}

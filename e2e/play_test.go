package e2e

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Roles: with E2E_ROLE in its environment, the test binary runs a small program instead of the tests, in the namespace of its caller.

// play runs a role and returns the exit code.
func play(role string, args []string) int {
	roles := map[string]func([]string) error{
		"sink": sink, "source": source, "echo-udp": echoUDP, "ask-udp": askUDP, "serve-text": serveText, "serve-head": serveHead, "fetch": fetch, "dns": serveDNS, "dns-forward": forwardDNS, "serve-client": serveClient,
		"send-frames": sendFrames, "with-tap": withTap, "dhcp-flood": dhcpFlood, "pour": pour, "beat": beat, "echo-tcp": echoTCP, "send-udp": sendUDP, "count-udp": countUDP, "socket-tap": socketTap,
	}
	if err := roles[role](args); err != nil {
		fmt.Fprintln(os.Stderr, role+":", err)
		return 1
	}
	return 0
}

// as returns the command that runs a role.
func (n namespace) as(role string, args ...string) []string {
	return append([]string{"env", "E2E_ROLE=" + role, os.Args[0]}, args...)
}

// A pattern is an endless stream of pseudorandom bytes that is determined by a seed.
type pattern struct{ block [1 << 20]byte }

func newPattern(seed uint64) *pattern {
	p := &pattern{}
	r := rand.NewPCG(seed, 0)
	for i := 0; i < len(p.block); i += 8 {
		binary.LittleEndian.PutUint64(p.block[i:], r.Uint64())
	}
	return p
}

// next returns block i of the stream, valid until the next call. No two blocks are equal.
func (p *pattern) next(i uint64) []byte {
	binary.LittleEndian.PutUint64(p.block[:], i)
	return p.block[:]
}

// source sends BYTES bytes to a sink, compares SHA-256 sums, and prints the sum: source ADDRESS BYTES SEED. It fails when the connection
// makes no progress for the time of timeout.
func source(args []string) error {
	size, err := strconv.ParseUint(args[1], 10, 64)
	if err != nil {
		return err
	}
	seed, err := strconv.ParseUint(args[2], 10, 64)
	if err != nil {
		return err
	}
	conn, err := net.DialTimeout("tcp", args[0], 10*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	sum, p := sha256.New(), newPattern(seed)
	for i := uint64(0); size > 0; i++ {
		block := p.next(i)
		block = block[:min(uint64(len(block)), size)]
		sum.Write(block)
		if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
			return err
		}
		if _, err := conn.Write(block); err != nil {
			return fmt.Errorf("%d bytes before the end: %w", size, err)
		}
		size -= uint64(len(block))
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	answer, err := io.ReadAll(conn) // the sink's SHA-256
	if err != nil {
		return err
	}
	mine := hex.EncodeToString(sum.Sum(nil))
	if string(answer) != mine {
		return fmt.Errorf("sent %s, arrived %q", mine, answer)
	}
	fmt.Println("sum", mine)
	return nil
}

// sink answers each TCP stream with its SHA-256 in hexadecimal digits: sink ADDRESS.
func sink(args []string) error {
	return serve(args[0], func(conn *net.TCPConn) {
		sum := sha256.New()
		if _, err := io.CopyBuffer(struct{ io.Writer }{sum}, struct{ io.Reader }{conn}, make([]byte, 1<<20)); err == nil {
			_, _ = io.WriteString(conn, hex.EncodeToString(sum.Sum(nil)))
		}
	})
}

// serveText answers each connection with a line: serve-text ADDRESS TEXT.
func serveText(args []string) error {
	return serve(args[0], func(conn *net.TCPConn) { fmt.Fprintln(conn, args[1]) })
}

// serveHead returns the first bytes of each connection: serve-head ADDRESS COUNT.
func serveHead(args []string) error {
	count, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return err
	}
	return serve(args[0], func(conn *net.TCPConn) { _, _ = io.CopyN(conn, conn, count) })
}

func serve(address string, each func(*net.TCPConn)) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Println("listening")
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			each(conn.(*net.TCPConn))
		}()
	}
}

// fetch prints the answer of serve-text: fetch ADDRESS.
func fetch(args []string) error {
	conn, err := net.DialTimeout("tcp", args[0], 5*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = io.Copy(os.Stdout, bufio.NewReader(conn))
	return err
}

// echoUDP returns each datagram: echo-udp ADDRESS.
func echoUDP(args []string) error {
	conn, err := net.ListenPacket("udp", args[0])
	if err != nil {
		return err
	}
	fmt.Println("listening")
	b := make([]byte, 1<<16)
	for {
		n, from, err := conn.ReadFrom(b)
		if err != nil {
			return err
		}
		if _, err := conn.WriteTo(b[:n], from); err != nil {
			return err
		}
	}
}

// askUDP sends datagrams of several sizes to echo-udp, and checks the answers: ask-udp ADDRESS [SIZE]...
func askUDP(args []string) error {
	conn, err := net.Dial("udp", args[0])
	if err != nil {
		return err
	}
	defer conn.Close()
	sizes := []int{1, 18, 1000, 1422, 5000, 60000} // the last two are fragmented
	if len(args) > 1 {
		sizes = nil
	}
	for _, arg := range args[1:] {
		size, err := strconv.Atoi(arg)
		if err != nil {
			return err
		}
		sizes = append(sizes, size)
	}
	for _, size := range sizes {
		question, answer := newPattern(uint64(size)).next(0)[:size], make([]byte, 1<<16)
		if err := exchange(conn, question, answer); err != nil {
			return fmt.Errorf("%d bytes: %w", size, err)
		}
	}
	return nil
}

func exchange(conn net.Conn, question, answer []byte) error {
	var last error
	for range 5 { // a datagram may be lost
		if _, err := conn.Write(question); err != nil {
			return err
		}
		_ = conn.SetReadDeadline(time.Now().Add(2 * time.Second))
		n, err := conn.Read(answer)
		if err == nil && bytes.Equal(answer[:n], question) {
			return nil
		}
		last = fmt.Errorf("answer of %d bytes: %w", n, err)
	}
	return last
}

// serveDNS answers every query with 192.0.2.53, over UDP and TCP: dns ADDRESS.
func serveDNS(args []string) error {
	conn, err := net.ListenPacket("udp", args[0])
	if err != nil {
		return err
	}
	go func() {
		_ = serve(args[0], func(c *net.TCPConn) {
			b := make([]byte, 1<<16)
			if n, err := c.Read(b); err == nil && n > 2 {
				answer := dnsAnswer(b[2:n])
				_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
			}
		})
	}()
	b := make([]byte, 1<<16)
	for {
		n, from, err := conn.ReadFrom(b)
		if err != nil {
			return err
		}
		if _, err := conn.WriteTo(dnsAnswer(b[:n]), from); err != nil {
			return err
		}
	}
}

// serveClient answers each connection with the address of its client: serve-client ADDRESS.
func serveClient(args []string) error {
	return serve(args[0], func(c *net.TCPConn) { fmt.Fprintln(c, c.RemoteAddr().(*net.TCPAddr).IP) })
}

// forwardDNS is a name server that asks another one, over UDP from a socket without an address, as dnsmasq does, and over TCP: dns-forward
// ADDRESS SERVER.
func forwardDNS(args []string) error {
	server, err := net.ResolveUDPAddr("udp4", args[1])
	if err != nil {
		return err
	}
	go func() {
		_ = serve(args[0], func(c *net.TCPConn) {
			to, err := net.Dial("tcp4", args[1])
			if err != nil {
				return
			}
			defer to.Close()
			go func() { _, _ = io.Copy(to, c) }()
			_, _ = io.Copy(c, to)
		})
	}()
	conn, err := net.ListenPacket("udp4", args[0])
	if err != nil {
		return err
	}
	b := make([]byte, 1<<16)
	for {
		n, from, err := conn.ReadFrom(b)
		if err != nil {
			return err
		}
		out, err := net.ListenPacket("udp4", ":0")
		if err != nil {
			return err
		}
		_ = out.SetReadDeadline(time.Now().Add(2 * time.Second))
		if _, err = out.WriteTo(b[:n], server); err == nil {
			if n, _, err = out.ReadFrom(b); err == nil {
				_, _ = conn.WriteTo(b[:n], from)
			}
		}
		_ = out.Close()
	}
}

// dnsAnswer answers a query for one name (RFC 1035, section 4.1): its question, and one A record for the same name.
func dnsAnswer(query []byte) []byte {
	end := 12
	for end < len(query) && query[end] != 0 {
		end += int(query[end]) + 1
	}
	end = min(end+5, len(query))
	answer := append([]byte(nil), query[:end]...)
	copy(answer[2:], []byte{0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0})
	return append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 53)
}

// sendFrames sends Ethernet frames by a packet socket: send-frames DEVICE HEX...
func sendFrames(args []string) error {
	link, err := net.InterfaceByName(args[0])
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	if err != nil {
		return err
	}
	for _, text := range args[1:] {
		frame, err := hex.DecodeString(text)
		if err != nil {
			return err
		}
		if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: link.Index}); err != nil {
			return err
		}
	}
	return nil
}

// withTap opens a tap with virtio-net headers as descriptor 3 and executes another program: with-tap DEVICE PROGRAM ARGUMENT...
func withTap(args []string) error {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR, 0)
	if err != nil {
		return err
	}
	request, err := unix.NewIfreq(args[0])
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		return err
	}
	if fd != 3 {
		if err := unix.Dup2(fd, 3); err != nil {
			return err
		}
	}
	if err := os.Unsetenv("E2E_ROLE"); err != nil {
		return err
	}
	return unix.Exec(args[1], args[1:], os.Environ())
}

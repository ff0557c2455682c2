package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/descriptor"
)

// The descriptors of a working child.
const (
	listenerFD  = 3 + iota // a listening unix stream socket
	packetsFD              // one end of a SOCK_SEQPACKET pair
	tcpFD                  // a connected TCP socket
	keeperFD               // one end of a unix stream pair
	firstFreeFD            // a listening unix stream socket that is used as by a port
)

// packets is the number of packets that the child receives and sends back, in batches.
const packets = 64

// work does what a switch does in the sandbox, and its error names the operation that failed.
func work() error {
	for _, task := range []struct {
		name string
		do   func() error
	}{
		{"threads", manyThreads}, {"memory", memory}, {"timers", timers}, {"processors", processors}, {"panic", recovered},
		{"packets", echoPackets}, {"tcp", echoTCP}, {"descriptors", useDescriptor}, {"accept", acceptPolled},
		{"http", serveHTTP}, {"random", random}, {"log", logLine}, {"signal", awaitSignal},
	} {
		fmt.Println("doing", task.name)
		if err := task.do(); err != nil {
			return fmt.Errorf("%s: %w", task.name, err)
		}
	}
	return nil
}

// manyThreads creates threads and ends some of them: a locked thread ends with its goroutine.
func manyThreads() error {
	var done sync.WaitGroup
	var all sync.WaitGroup
	all.Add(50)
	for range 50 {
		done.Go(func() {
			runtime.LockOSThread()
			all.Done()
			all.Wait()
		})
	}
	done.Wait()
	return nil
}

// memory grows the heap, preempts loops that never yield, and returns the memory.
func memory() error {
	var done sync.WaitGroup
	stop := time.Now().Add(200 * time.Millisecond)
	for range 2 * runtime.NumCPU() {
		done.Go(func() {
			for n := uint64(0); time.Now().Before(stop); n++ {
				for i := range uint64(1 << 20) {
					n ^= i
				}
			}
		})
	}
	for range 4 {
		kept := make([][]byte, 64)
		for i := range kept {
			kept[i] = make([]byte, 1<<20)
			kept[i][i] = 1
		}
		runtime.GC()
		debug.FreeOSMemory()
		runtime.KeepAlive(kept)
	}
	done.Wait()
	return nil
}

func timers() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for ticks := 0; ; ticks++ {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			if ticks == 0 {
				return errors.New("no tick")
			}
			return nil
		}
	}
}

// processors reads the number of processors and the cgroup's limit, as the runtime does once a second.
func processors() error {
	runtime.GOMAXPROCS(1)
	runtime.SetDefaultGOMAXPROCS()
	return nil
}

func recovered() (err error) {
	defer func() {
		if r := recover(); r == nil {
			err = errors.New("nothing to recover")
		}
		debug.Stack()
	}()
	var nothing *int
	*nothing = 1 // SIGSEGV, which the runtime turns into a panic
	return nil
}

func random() error {
	if rand.Uint64() == rand.Uint64() {
		return errors.New("twice the same")
	}
	return nil
}

// logLine formats the local time, whose zone comes from a file.
func logLine() error {
	_, err := fmt.Fprintln(os.Stderr, time.Now().Local().Format(time.RFC1123))
	return err
}

// awaitSignal waits for SIGTERM, which the test sends when it reads the line.
func awaitSignal() error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	defer signal.Stop(signals)
	fmt.Println("waiting for SIGTERM")
	select {
	case <-signals:
		return nil
	case <-time.After(testTimeout):
		return errors.New("it did not come")
	}
}

// echoPackets is a port: poll, recvmmsg and sendmmsg through package descriptor.
func echoPackets() error {
	d, err := descriptor.New(packetsFD)
	if err != nil {
		return err
	}
	defer d.Close()
	b := newBatch()
	for total := 0; total < packets; {
		got := 0
		err := d.Receive(func(fd uintptr) bool {
			got, err = b.receive(fd)
			return !errors.Is(err, unix.EAGAIN)
		})
		if err != nil {
			return err
		}
		d.Transmit(func(fd uintptr) { err = b.send(fd, got) })
		if err != nil {
			return err
		}
		total += got
	}
	return nil
}

// echoTCP does what a kept port does: it makes a net.Conn of a passed socket.
func echoTCP() error {
	c, err := net.FileConn(os.NewFile(tcpFD, "tcp"))
	if err != nil {
		return err
	}
	defer c.Close()
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return fmt.Errorf("it is a %T", c)
	}
	if err := errors.Join(tcp.SetDeadline(time.Now().Add(testTimeout)), tcp.SetNoDelay(true), tcp.SetReadBuffer(1<<16)); err != nil {
		return err
	}
	text, err := io.ReadAll(tcp)
	if err != nil {
		return err
	}
	if _, err := (&net.Buffers{text, text}).WriteTo(tcp); err != nil {
		return err
	}
	return errors.Join(tcp.CloseWrite(), tcp.SetLinger(0))
}

// useDescriptor receives a descriptor as from the keeper, and uses it.
func useDescriptor() error {
	c, err := net.FileConn(os.NewFile(keeperFD, "keeper"))
	if err != nil {
		return err
	}
	defer c.Close()
	control := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := c.(*net.UnixConn).ReadMsgUnix(make([]byte, 1), control)
	if err != nil {
		return err
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil {
		return err
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return err
	}
	passed := os.NewFile(uintptr(fds[0]), "passed")
	defer passed.Close()
	text, err := io.ReadAll(passed)
	if err != nil {
		return err
	}
	_, _, err = c.(*net.UnixConn).WriteMsgUnix(text, unix.UnixRights(int(passed.Fd())), nil)
	return err
}

// acceptPolled accepts a connection as a stream port does, and sets its buffer sizes.
func acceptPolled() error {
	d, err := descriptor.New(firstFreeFD)
	if err != nil {
		return err
	}
	defer d.Close()
	fmt.Println("accepting")
	fd := -1
	var acceptErr error
	err = d.Receive(func(listener uintptr) bool {
		fd, _, acceptErr = unix.Accept4(int(listener), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		return acceptErr != unix.EAGAIN
	})
	if err := errors.Join(err, acceptErr); err != nil {
		return err
	}
	defer unix.Close(fd)
	if _, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED); err != nil {
		return err
	}
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 1<<16)
}

// serveHTTP answers one request as the control socket does.
func serveHTTP() error {
	l, err := net.FileListener(os.NewFile(listenerFD, "listener"))
	if err != nil {
		return err
	}
	answered := make(chan struct{})
	server := &http.Server{ReadTimeout: testTimeout, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "in the sandbox")
		close(answered)
	})}
	stopped := make(chan error, 1)
	go func() {
		<-answered
		stopped <- server.Shutdown(context.Background())
	}()
	fmt.Println("serving")
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}

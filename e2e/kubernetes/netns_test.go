//go:build kubernetes

package kubernetes

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// A netns is a network namespace. It lasts as long as it is open.
type netns struct{ file *os.File }

// netnsOf opens the network namespace of a process.
func netnsOf(pid int) (netns, error) {
	file, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	return netns{file}, err
}

// do runs f in a thread that is in the namespace. A thread that cannot leave it again ends with the goroutine.
func (n netns) do(f func() error) error {
	failed := make(chan error)
	go func() {
		runtime.LockOSThread()
		failed <- n.visit(f)
	}()
	return <-failed
}

func (n netns) visit(f func() error) error {
	own, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer own.Close()
	if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
		return err
	}
	err = f()
	if unix.Setns(int(own.Fd()), unix.CLONE_NEWNET) == nil {
		runtime.UnlockOSThread()
	}
	return err
}

// dial connects from within the namespace. The address must be a number: a name would be looked up by another thread.
func (n netns) dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = n.do(func() (err error) {
		var d net.Dialer
		conn, err = d.DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// addresses returns the IPv4 addresses of a device. It fails if the device disappears meanwhile.
func (n netns) addresses(device string) (list []string, err error) {
	err = n.do(func() error {
		found, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		all, err := found.Addrs()
		for _, a := range all {
			if p, ok := a.(*net.IPNet); ok && p.IP.To4() != nil {
				list = append(list, p.IP.String())
			}
		}
		if err == nil {
			_, err = net.InterfaceByIndex(found.Index)
		}
		return err
	})
	return list, err
}

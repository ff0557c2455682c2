package grant

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/podswitch/podswitch/host/missing"
)

// Roles of a peer in another process. roleConnect connects to an address and stays until its standard input ends. roleAccept
// accepts a connection on descriptor 3 and prints what Peers.Check and Conn.IsForeign return for it.
const (
	roleVariable    = "PODSWITCH_TEST_ROLE"
	addressVariable = "PODSWITCH_TEST_ADDRESS"
	roleConnect     = "connect"
	roleAccept      = "accept"
)

// playPeer plays a role and returns the exit code.
func playPeer(role string) (code int) {
	play := connectAndStay
	if role == roleAccept {
		play = acceptAndCheck
	}
	if err := play(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func connectAndStay() error {
	c, err := net.Dial("unix", os.Getenv(addressVariable))
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func acceptAndCheck() error {
	l, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		return err
	}
	c, err := l.Accept()
	if err != nil {
		return err
	}
	for _, p := range []Peers{{}, {Foreign: true}} {
		peer, err := p.Check(c.(*net.UnixConn))
		fmt.Printf("%d %v\n", peer.Pid, err)
	}
	fmt.Println("foreign:", NewConn(c.(*net.UnixConn)).IsForeign())
	return nil
}

// startPeer starts this program as a peer.
func startPeer(t *testing.T, role, address string, how *syscall.SysProcAttr, files ...*os.File) (output *bufio.Scanner) {
	t.Helper()
	c := exec.Command("/proc/self/exe") // os.Executable may have a path that another user cannot read
	c.Env = append(os.Environ(), roleVariable+"="+role, addressVariable+"="+address)
	c.SysProcAttr, c.ExtraFiles, c.Stderr, c.Dir = how, files, os.Stderr, "/"
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	})
	return bufio.NewScanner(stdout)
}

// listenAbstract returns a listener without a file, so that every user can connect to it.
func listenAbstract(t *testing.T) *net.UnixListener {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: fmt.Sprintf("@podswitch-%s-%d", t.Name(), os.Getpid()), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to start a process of another user")
	}
}

// TestPeers: Check accepts root and this process's own user by default, and otherwise the users that are named.
func TestPeers(t *testing.T) {
	needRoot(t)
	l := listenAbstract(t)
	for _, c := range []struct {
		uid     uint32
		peers   Peers
		refused bool
	}{
		{0, Peers{}, false},
		{65534, Peers{}, true},
		{65534, Peers{UIDs: []int{107}}, true},
		{65534, Peers{UIDs: []int{107, 65534}}, false},
		{0, Peers{UIDs: []int{107}}, true},
	} {
		t.Run(fmt.Sprintf("%d %v", c.uid, c.peers.UIDs), func(t *testing.T) {
			startPeer(t, roleConnect, l.Addr().String(), &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: c.uid, Gid: c.uid}})
			socket, err := l.AcceptUnix()
			if err != nil {
				t.Fatal(err)
			}
			defer socket.Close()
			peer, err := c.peers.Check(socket)
			var lacks *missing.Error
			if refused := errors.As(err, &lacks); refused != c.refused || err != nil && !refused {
				t.Errorf("%v, want a refusal: %v", err, c.refused)
			}
			if peer == nil || peer.Uid != c.uid || int(peer.Pid) == os.Getpid() || peer.Pid == 0 {
				t.Errorf("the peer is %+v, want user %d in another process", peer, c.uid)
			}
		})
	}
}

// TestForeignPeer: Check refuses a process outside this process namespace, unless Foreign allows it.
func TestForeignPeer(t *testing.T) {
	needRoot(t)
	l := listenAbstract(t)
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	output := startPeer(t, roleAccept, "", &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}, f)
	c, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, want := range []string{"0 connect with a process in another container (user 0)", "0 <nil>", "foreign: true"} {
		if !output.Scan() || !strings.HasPrefix(output.Text(), want) {
			t.Errorf("the peer prints %q, want %q", output.Text(), want)
		}
	}
	if NewConn(c.(*net.UnixConn)).IsForeign() { // this process has called listen(2)
		t.Error("this process is foreign to itself")
	}
}

// TestPeerRemedies: a refusal names the flag of the command that refuses, or another way if the command has none.
func TestPeerRemedies(t *testing.T) {
	l := listenAbstract(t)
	c, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	own := os.Geteuid()
	for command, want := range map[string]string{
		"":                 "(run both as the same user)",
		"podswitch keeper": fmt.Sprintf("(podswitch keeper --peer-uid %d, or runAsUser of the other container)", own),
	} {
		_, err := Peers{UIDs: []int{own + 1}, Command: command}.Check(c.(*net.UnixConn))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), fmt.Sprintf("one of the users [%d]", own+1)) {
			t.Errorf("%q: %v, want %q", command, err, want)
		}
	}
}

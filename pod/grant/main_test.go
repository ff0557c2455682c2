package grant

import (
	"flag"
	"fmt"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/unixsocket/sockettest"
)

// eventTimeout is how long a test waits for an event that must happen.
const eventTimeout = 10 * time.Second

// TestMain runs as a peer in another process if the environment names a role, and fails the run when a goroutine outlives its
// test.
func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(playPeer(role))
	}
	sockettest.ShortenTempDir()
	goroutines := runtime.NumGoroutine()
	code := m.Run()
	if fuzzing := flag.Lookup("test.fuzz"); fuzzing != nil && fuzzing.Value.String() != "" {
		os.Exit(code) // the fuzzer's own goroutines go on
	}
	if code == 0 && !eventually(func() bool { return runtime.NumGoroutine() <= goroutines }) {
		stacks := make([]byte, 1<<20)
		fmt.Printf("leaked goroutines:\n%s\n", stacks[:runtime.Stack(stacks, true)])
		code = 1
	}
	os.Exit(code)
}

// eventually waits until the condition is true, and returns false if it never is.
func eventually(condition func() bool) bool {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(eventTimeout); time.Now().Before(end); <-tick.C {
		if condition() {
			return true
		}
	}
	return false
}

// countDescriptors returns the number of open descriptors, including the one that reads the list.
func countDescriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// keepsDescriptors fails the test if it ends with another number of open descriptors.
func keepsDescriptors(t testing.TB) {
	t.Helper()
	socketPair(t) // opens the runtime's poller, which stays open
	before := countDescriptors(t)
	t.Cleanup(func() {
		if after := countDescriptors(t); after != before {
			t.Errorf("%d descriptors are open, want %d as before", after, before)
		}
	})
}

// socketPair returns two connected sockets, which the end of the test closes.
func socketPair(t testing.TB) (ours, theirs *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socket")
		c, err := net.FileConn(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		ends[i] = c.(*net.UnixConn)
		t.Cleanup(func() { ends[i].Close() })
	}
	return ends[0], ends[1]
}

// descriptors opens n descriptors, which the end of the test closes.
func descriptors(t testing.TB, n int) (files []int) {
	t.Helper()
	for range n {
		fd, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, fd)
	}
	t.Cleanup(func() { _ = CloseFiles(files) })
	return files
}

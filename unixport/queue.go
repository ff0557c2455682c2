package unixport

import (
	"bytes"
	"errors"
	"os"
	"strconv"
)

// queueFile has the number of datagrams that a socket of this network namespace queues (unix(7)). It applies to sockets that are created later, and
// counts the datagrams that wait for the socket's owner.
const queueFile = "/proc/sys/net/unix/max_dgram_qlen"

// queueLength is the number of datagrams that RaiseQueue asks for: sixteen batches.
const queueLength = 512

// RaiseQueue makes datagram sockets that this network namespace's processes create from now on queue more frames, if they queue few. It
// returns the number before. It needs permission to write to a file of /proc/sys, where containers often have none.
func RaiseQueue() (before int, err error) { return raiseQueue(queueFile) }

func raiseQueue(file string) (before int, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	before, err = strconv.Atoi(string(bytes.TrimSpace(text)))
	if err != nil || before >= queueLength {
		return before, err
	}
	f, err := os.OpenFile(file, os.O_WRONLY, 0) // never creates a file
	if err != nil {
		return before, err
	}
	_, err = f.WriteString(strconv.Itoa(queueLength))
	return before, errors.Join(err, f.Close())
}

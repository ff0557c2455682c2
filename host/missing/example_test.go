package missing_test

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/podswitch/podswitch/host/missing"
)

func Example() {
	err := fmt.Errorf("start: %w", &missing.Error{What: "open tap tap0", Need: "CAP_NET_ADMIN", Give: "run as root", Err: fs.ErrPermission})
	fmt.Println(err)
	var lacks *missing.Error
	fmt.Println(errors.As(err, &lacks), errors.Is(err, fs.ErrPermission))
	fmt.Println(&missing.Error{What: "set PACKET_IGNORE_OUTGOING", Need: "Linux 4.20"})
	// Output:
	// start: open tap tap0: needs CAP_NET_ADMIN (run as root): permission denied
	// true true
	// set PACKET_IGNORE_OUTGOING: needs Linux 4.20
}

package sandbox

import "kernel.org/pub/linux/libs/security/libcap/cap"

// dropCapabilities empties every set of capabilities, and reports whether that includes the bounding set.
func dropCapabilities() (bounding bool, err error) {
	own, err := cap.GetPID(0)
	if err != nil {
		return false, refused("read the own capabilities", "capget(2)", err)
	}
	if may, err := own.GetFlag(cap.Permitted, cap.SETPCAP); err == nil && may {
		if err := dropBounding(own); err != nil {
			return false, refused("empty the bounding set", "the use of CAP_SETPCAP, which it has", err)
		}
	}
	// Ambient ones go with the others (capabilities(7)): none can be ambient that is not permitted.
	if err := cap.NewSet().SetProc(); err != nil {
		return false, refused("drop its capabilities", "capset(2)", err)
	}
	return boundingEmpty(), nil
}

// dropBounding takes CAP_SETPCAP into use, which is permitted, and with it empties the bounding set.
func dropBounding(own *cap.Set) error {
	if err := own.SetFlag(cap.Effective, true, cap.SETPCAP); err != nil {
		return err
	}
	if err := own.SetProc(); err != nil {
		return err
	}
	for v := range cap.MaxBits() {
		if bound, err := cap.GetBound(v); err != nil || !bound {
			continue
		}
		if err := cap.DropBound(v); err != nil {
			return err
		}
	}
	return nil
}

func boundingEmpty() bool {
	for v := range cap.MaxBits() {
		if bound, err := cap.GetBound(v); err == nil && bound {
			return false
		}
	}
	return true
}

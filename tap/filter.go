package tap

import (
	"os"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// offEthertype is the offset of the ethertype in a frame without a tag.
const offEthertype = 12

// filter makes a packet socket receive only the frames that o selects. A frame that the filter does not pass is not queued and wakes no
// thread (socket(7), SO_ATTACH_FILTER).
func filter(fd int, o Options) error {
	if o.Ethertypes == nil && !o.OwnFrames {
		return nil
	}
	program, err := bpf.Assemble(filterProgram(o))
	if err != nil {
		return err
	}
	instructions := make([]unix.SockFilter, len(program))
	for i, raw := range program {
		instructions[i] = unix.SockFilter{Code: raw.Op, Jt: raw.Jt, Jf: raw.Jf, K: raw.K}
	}
	fprog := unix.SockFprog{Len: uint16(len(instructions)), Filter: &instructions[0]}
	return os.NewSyscallError("SO_ATTACH_FILTER", unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &fprog))
}

// allBytes passes a frame of any length.
const allBytes = 1<<31 - 1

// filterProgram returns the program: it compares the packet type and the ethertype, and returns how many bytes of the frame to pass. A frame
// that ends before its ethertype does not pass. The packet type is what decides in the kernel, and not the MAC: a plugin may deliver
// frames with another one (bpf_redirect_peer), whose type is that of a frame for this host.
func filterProgram(o Options) (list []bpf.Instruction) {
	if o.OwnFrames {
		list = append(list, bpf.LoadExtension{Num: bpf.ExtType}, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.PACKET_OTHERHOST, SkipTrue: 1},
			bpf.RetConstant{Val: 0})
	}
	if o.Ethertypes == nil {
		return append(list, bpf.RetConstant{Val: allBytes})
	}
	ethertypes := o.Ethertypes
	list = append(list, bpf.LoadAbsolute{Off: offEthertype, Size: 2})
	for i, t := range ethertypes {
		list = append(list, bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(t), SkipTrue: uint8(len(ethertypes) - i)})
	}
	return append(list, bpf.RetConstant{Val: 0}, bpf.RetConstant{Val: allBytes})
}

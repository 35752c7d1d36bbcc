package mesh

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// OpenTUN makes a TUN device of that name, at most 15 characters, in the network
// namespace of this process, from which it may be moved to another one. It is
// down and has no address. It is gone when it is closed. Needs root and
// /dev/net/tun.
func OpenTUN(name string) (Device, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open /dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		// Without offloads packets come as a network would carry them: no longer than
		// the device's MTU and with their checksums.
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		_ = unix.Close(fd) // the device was never made
		return nil, fmt.Errorf("cannot make device %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

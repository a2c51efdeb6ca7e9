"""The guest end of a tap device: frames from and to standard input and output, two bytes of length first."""
import fcntl, os, select, struct, sys

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
tap = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", sys.argv[1].encode(), IFF_TAP | IFF_NO_PI))
sys.stdout.buffer.write(b"\0\0")
sys.stdout.buffer.flush()
source = sys.stdin.buffer
while True:
    for ready in select.select([tap, source], [], [])[0]:
        if ready is tap:
            frame = os.read(tap, 65535)
            sys.stdout.buffer.write(struct.pack(">H", len(frame)) + frame)
            sys.stdout.buffer.flush()
            continue
        head = source.raw.read(2)
        if len(head) < 2:
            sys.exit(0)
        length = struct.unpack(">H", head)[0]
        frame = b""
        while len(frame) < length:
            frame += source.raw.read(length - len(frame))
        os.write(tap, frame)

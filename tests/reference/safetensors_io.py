"""Reads and writes safetensors files: 8 bytes of little-endian header length, a JSON header, the tensors' bytes."""
import json
import struct

import numpy as np

TYPES = {'F32': np.dtype('<f4'), 'F64': np.dtype('<f8'), 'I64': np.dtype('<i8')}
NAMES = {dtype: name for name, dtype in TYPES.items()}


def write(path, tensors):
    """Writes a dictionary of NumPy arrays (float32, float64 or int64)."""
    header, position = {}, 0
    tensors = {name: np.asarray(array, order='C') for name, array in tensors.items()}
    for name, array in tensors.items():
        header[name] = {'dtype': NAMES[array.dtype], 'shape': list(array.shape),
                        'data_offsets': [position, position + array.nbytes]}
        position += array.nbytes
    text = json.dumps(header, separators=(',', ':')).encode()
    text += b' ' * (-len(text) % 8)
    with open(path, 'wb') as file:
        file.write(struct.pack('<Q', len(text)) + text)
        for array in tensors.values():
            file.write(array.tobytes())


def read(path):
    """Returns a dictionary of NumPy arrays."""
    with open(path, 'rb') as file:
        header = json.loads(file.read(struct.unpack('<Q', file.read(8))[0]))
        data = bytearray(file.read())
    header.pop('__metadata__', None)
    tensors = {}
    for name, entry in header.items():
        begin, end = entry['data_offsets']
        dtype = TYPES[entry['dtype']]
        tensors[name] = np.frombuffer(data, dtype, (end - begin) // dtype.itemsize, begin).reshape(entry['shape'])
    return tensors

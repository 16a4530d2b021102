// selftest_matmul.hpp -- what the tests of the matrix products share.
#pragma once
#include "selftest.hpp"

#include "kernels/matmul_hopper.cuh"

namespace selftest {

// Of an operand of 16-bit planes, in boxes of 64 columns and all planes.
TensorMap tensor_map(const Operand& of, unsigned rows, unsigned columns, unsigned box_rows);

}  // namespace selftest

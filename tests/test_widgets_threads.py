"""Small networks train on one thread in a lesson, whatever else the machine is doing."""

import torch

from pfa_edu.lessons import notebooks as lesson


def test_a_lessons_kernel_computes_on_one_thread():
    """Two threads of a small network wait for each other as soon as another process wants a core: ten times as long."""
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        lesson.check_parameters({})  # a plain script decides for itself
        assert torch.get_num_threads() == 2
        lesson.check_parameters({"In": ["", "seed = 0"]})
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)
